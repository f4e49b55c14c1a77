// SPDX-License-Identifier: BSD-2-Clause
#include "events/importer_role.hpp"

#include <memory>

#include "pnic/verbs.hpp"
#include "revoke/link.hpp"
#include "revoke/process.hpp"
#include "revoke/traffic.hpp"

namespace events_test {

using namespace std::chrono_literals;
using pnic_test::require;
using namespace revoke_test;

int run_importer() {
  const auto channel = inherited_channel();
  const auto message = channel.receive(10s);
  require(message && message->letter == 'b', "a buffer from the parent");
  End requester("LAB_NIC0"), responder("LAB_NIC1");
  std::unique_ptr<ibv_mr, Destroyer<ibv_dereg_mr>> mr(
      ibv_reg_dmabuf_mr(responder.pd(), 0, Traffic::kBytes, 0, message->fd.get(),
                        IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));
  require(mr != nullptr, "register the buffer");
  connect(requester, responder);
  Traffic traffic(requester, {0, mr->rkey});
  require(traffic.wait_for(2 * Traffic::kSlots), "traffic");
  channel.send('r');
  channel.receive(60s);
  return 1;
}

void kill_importer(const Subject& subject) {
  Process importer("importer");
  require(importer.channel().send('b', subject.buffer()), "send the buffer");
  const auto ready = importer.channel().receive(20s);
  require(ready && ready->letter == 'r', "the importer's traffic");
  require(importer.kill(10s), "the importer dies");
}

}  // namespace events_test
