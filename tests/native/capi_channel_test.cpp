// SPDX-License-Identifier: BSD-2-Clause
// A connection of a C program over a channel of its own, and queue pairs of its own.
#include <sys/eventfd.h>

#include <deque>
#include <string>

#include "capi_fixture.hpp"

namespace peermr::test {
namespace {

/// One direction of an application's own way to its peer, within the process.
struct Pipe {
  Pipe() : fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Pipe() { ::close(fd); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int fd;
  std::deque<std::string> messages;
};

struct End {
  Pipe& out;
  Pipe& in;
  int broken = 0;
};

peermr_channel channel_of(End& end) {
  peermr_channel channel{};
  channel.size = sizeof(channel);
  channel.context = &end;
  channel.fd = end.in.fd;
  channel.send = [](void* context, const void* message, size_t bytes) {
    End& self = *static_cast<End*>(context);
    self.out.messages.emplace_back(static_cast<const char*>(message), bytes);
    const uint64_t one = 1;
    return ::write(self.out.fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
  };
  channel.receive = [](void* context, void* message, size_t) {
    End& self = *static_cast<End*>(context);
    if (self.broken != 0) return self.broken;
    if (self.in.messages.empty()) {
      uint64_t count = 0;
      static_cast<void>(!::read(self.in.fd, &count, sizeof(count)));
      return 0;
    }
    const std::string next = self.in.messages.front();
    self.in.messages.pop_front();
    std::memcpy(message, next.data(), next.size());
    return static_cast<int>(next.size());
  };
  return channel;
}

class CapiOwnChannel : public CapiConnections {
 protected:
  void connect_over() {
    const peermr_channel one = channel_of(writers);
    const peermr_channel two = channel_of(owners);
    ASSERT_EQ(peermr_connection_create_over(writer_pd.get(), &one, &options, &writer), 0)
        << peermr_last_error();
    ASSERT_EQ(peermr_connection_create_over(owner_pd.get(), &two, &options, &owner), 0)
        << peermr_last_error();
    publish_and_wait();
  }

  Pipe there;
  Pipe back;
  End writers{.out = there, .in = back};
  End owners{.out = back, .in = there};
};

TEST_F(CapiOwnChannel, CarriesAConnectionThroughARevoke) {
  connect_over();
  ASSERT_EQ(post(work(PEERMR_WRITE, 1)), 0);
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(std::memcmp(memory.bytes, local->data.data(), 8), 0);
  take_away();
  tell();
  restore();
  ASSERT_TRUE(turn_until([&] { return remote().generation == 1; }));
  read_events(writer);
  ASSERT_EQ(post(work(PEERMR_WRITE, 2, 8)), 0) << peermr_last_error();
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[1].status, PEERMR_WORK_SUCCESS);
  EXPECT_EQ(std::memcmp(memory.bytes, local->data.data(), 16), 0);
}

TEST_F(CapiOwnChannel, ItsErrorEndsTheConnection) {
  connect_over();
  writers.broken = -EPIPE;
  EXPECT_EQ(peermr_connection_process(writer), -EPIPE);
  EXPECT_NE(std::string(peermr_last_error()).find("the application's channel"), std::string::npos);
  EXPECT_EQ(peermr_connection_state(writer), PEERMR_CONNECTION_DEAD);
}

// Queue pairs that the application owns.
TEST_F(CapiConnections, OwnQueuePairsConnectAndConnectAgain) {
  QpOptions with;
  Endpoint left(a.get(), with);
  Endpoint right(b.get(), with);
  peermr_qp_address left_address;
  peermr_qp_address right_address;
  ASSERT_EQ(peermr_qp_local_address(left.qp.get(), &qp, &left_address), 0) << peermr_last_error();
  ASSERT_EQ(peermr_qp_local_address(right.qp.get(), nullptr, &right_address), 0);
  EXPECT_EQ(left_address.qp_number, left.qp->qp_num);
  EXPECT_NE(left_address.lid, right_address.lid);
  Buffer from(left.pd.get(), 64, 1);
  Buffer to(right.pd.get(), 64, 2);
  for (uint32_t round = 0; round < 2; ++round) {
    ASSERT_EQ(peermr_qp_restart(left.qp.get(), &qp), 0) << peermr_last_error();
    ASSERT_EQ(peermr_qp_restart(right.qp.get(), &qp), 0);
    ASSERT_EQ(right.post_recv({to.sge()}), 0);
    ASSERT_EQ(peermr_qp_connect(left.qp.get(), &qp, 10 + round, &right_address, 20 + round), 0)
        << peermr_last_error();
    ASSERT_EQ(peermr_qp_connect(right.qp.get(), &qp, 20 + round, &left_address, 10 + round), 0);
    from.fill(static_cast<uint8_t>(5 + round));
    ASSERT_EQ(left.post_send(IBV_WR_SEND, {from.sge()}), 0);
    left.expect_success();
    right.expect_success();
    EXPECT_EQ(from.data, to.data);
    ASSERT_EQ(right.post_recv({to.sge()}), 0);
    ASSERT_EQ(peermr_qp_stop(right.qp.get()), 0);
    EXPECT_EQ(right.wait().status, IBV_WC_WR_FLUSH_ERR);
  }
}

}  // namespace
}  // namespace peermr::test
