// SPDX-License-Identifier: BSD-2-Clause
#include "revoke/roles.hpp"

#include <chrono>

#include "revoke/lab.hpp"
#include "revoke/link.hpp"
#include "revoke/process.hpp"
#include "revoke/traffic.hpp"

namespace revoke_test {

int run_victim(bool resets) {
  const Channel parent = inherited_channel();
  PmrOwner owner;
  const auto buffer = owner.export_memory();
  End requester("LAB_NIC0");
  End responder("LAB_NIC1");
  connect(requester, responder);
  const auto region = must(peermr::Region::create(responder.pd(), buffer, {}));
  const auto keys = region.keys();
  Traffic traffic(requester, {keys->address.value(), keys->rkey.value()});
  if (!traffic.wait_for(2 * Traffic::kSlots)) give_up("no traffic: " + traffic.broken());
  if (!parent.send('r')) return 1;
  while (traffic.wait_for(1)) {
    if (!resets) continue;
    must(owner.device().reset());
    owner.enable_pmr();
  }
  give_up("traffic ended by itself: " + traffic.broken());
}

int run_owner() {
  const Channel parent = inherited_channel();
  PmrOwner owner;
  const auto buffer = owner.export_memory();
  if (!parent.send('r', buffer.fd())) return 1;
  while (parent.receive(std::chrono::minutes(1))) {
    must(owner.device().reset());
    owner.enable_pmr();
    if (!parent.send('d')) return 1;
  }
  return 0;
}

}  // namespace revoke_test
