// SPDX-License-Identifier: BSD-2-Clause
// Connections through the C interface: data, messages, recovery, and what is refused.
#include <string>

#include "capi_fixture.hpp"

namespace peermr::test {
namespace {

TEST_F(CapiConnections, DataArrivesWhereItShould) {
  connect();
  const auto data = local->data;
  ASSERT_EQ(post(work(PEERMR_WRITE, 1, 0, kBytes)), 0);
  ASSERT_EQ(post(work(PEERMR_PLACE, 2)), 0);
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(std::memcmp(memory.bytes, data.data(), kBytes), 0);
  std::memset(memory.bytes, 0x5a, 4096);
  ASSERT_EQ(post(work(PEERMR_READ, 3, 0, 4096)), 0);
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(std::memcmp(memory.bytes, local->data.data(), kBytes), 0);
  for (size_t i = 0; i < completions.size(); ++i) {
    EXPECT_EQ(completions[i].id, i + 1);
    EXPECT_EQ(completions[i].status, PEERMR_WORK_SUCCESS);
    EXPECT_EQ(completions[i].flags, 0u);
  }
  EXPECT_EQ(completions[1].operation, PEERMR_PLACE);
}

TEST_F(CapiConnections, MessagesArriveWithTheirImmediates) {
  connect();
  // More than poll() takes from the library at a time.
  constexpr uint64_t kMessages = 50;
  for (uint64_t i = 0; i < kMessages; ++i) post_receive(i);
  for (uint64_t i = 0; i < kMessages; ++i) {
    std::memcpy(local->data.data() + i * 8, &i, sizeof(i));
    peermr_work send = work(i % 2 == 0 ? PEERMR_SEND_WITH_IMMEDIATE : PEERMR_SEND, i, i * 8);
    send.immediate = 0x01020300u + static_cast<uint32_t>(i);
    ASSERT_EQ(post(send), 0) << peermr_last_error();
  }
  ASSERT_TRUE(turn_until([&] { return received.size() == kMessages; }));
  for (uint64_t i = 0; i < kMessages; ++i) {
    uint64_t message = 0;
    std::memcpy(&message, inbox->data.data() + i * 8, sizeof(message));
    EXPECT_EQ(message, i);
    EXPECT_EQ(received[i].id, i);
    EXPECT_EQ(received[i].operation, PEERMR_RECEIVE);
    EXPECT_EQ(received[i].length, 8u);
    EXPECT_EQ(received[i].flags, i % 2 == 0 ? PEERMR_COMPLETION_IMMEDIATE : 0u);
    EXPECT_EQ(received[i].immediate, i % 2 == 0 ? 0x01020300u + i : 0u);
  }
  peermr_work write = work(PEERMR_WRITE_WITH_IMMEDIATE, 99);
  write.immediate = 5;
  post_receive(60);
  ASSERT_EQ(post(write), 0);
  ASSERT_TRUE(turn_until([&] { return received.size() == kMessages + 1; }));
  EXPECT_EQ(received.back().immediate, 5u);
}

TEST_F(CapiConnections, WaitingUntilLiveEndsWhenThePeerNeverComes) {
  make_both();
  EXPECT_EQ(peermr_connection_wait_until_live(writer, 20'000'000), -ETIMEDOUT);
  EXPECT_EQ(peermr_connection_state(writer), PEERMR_CONNECTION_CONNECTING);
}

// Revokes kill the key under traffic, so that both sides have to recover, unless the double's
// memory comes back first: then a key is good for a moment more.
TEST_F(CapiConnections, RecoverFromARevokeAndReplay) {
  options.on_new_generation = PEERMR_NEW_GENERATION_REPLAY;
  qp.min_rnr_timer = 20;  // 10 ms: who comes back finds the key deregistered
  connect();
  uint64_t next = 1;
  for (uint64_t round = 1; round <= 10; ++round) {
    take_away();
    for (int i = 0; i < 4; ++i, ++next) {
      std::memcpy(local->data.data() + next % 64 * 8, &next, sizeof(next));
      ASSERT_EQ(post(work(PEERMR_WRITE, next, next % 64 * 8)), 0) << peermr_last_error();
    }
    tell();
    restore();
    ASSERT_TRUE(wait_for(next - 1));
    EXPECT_LE(completions.back().generation, round);
    ASSERT_TRUE(turn_until([&] { return remote().generation == round; }));
  }
  for (uint64_t i = 1; i < next; ++i) {
    EXPECT_EQ(completions[i - 1].id, i);
    EXPECT_EQ(completions[i - 1].status, PEERMR_WORK_SUCCESS);
    uint64_t there = 0;
    std::memcpy(&there, memory.bytes + i % 64 * 8, sizeof(there));
    EXPECT_EQ(there, i);
  }
  read_events(writer);
  EXPECT_GT(last_event.epoch, 1u) << "they connected again";
  EXPECT_EQ(peermr_connection_state(writer), PEERMR_CONNECTION_LIVE);
}

TEST_F(CapiConnections, UnacknowledgedWorkComesBackOnANewGeneration) {
  connect();
  read_events(writer);
  take_away();
  tell();
  ASSERT_TRUE(turn_until([&] { return remote().state == PEERMR_DESCRIPTOR_PAUSED; }));
  for (uint64_t i = 0; i < 2; ++i) ASSERT_EQ(post(work(PEERMR_WRITE, i)), 0);
  restore();
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[0].status, PEERMR_WORK_NEW_GENERATION);
  EXPECT_EQ(completions[1].status, PEERMR_WORK_FLUSHED);
  EXPECT_EQ(post(work(PEERMR_WRITE, 2)), -ESTALE);
  read_events(writer);
  EXPECT_EQ(last_event.kind, PEERMR_EVENT_REGION);
  EXPECT_EQ(last_event.region.id, kRegion);
  EXPECT_EQ(last_event.region.generation, 1u);
  EXPECT_EQ(last_event.previous_generation, 0u);
  ASSERT_EQ(post(work(PEERMR_WRITE, 2)), 0);
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(completions[2].status, PEERMR_WORK_SUCCESS);
}

TEST_F(CapiConnections, WhatCannotBePostedIsRefusedWithASentence) {
  connect();
  read_events(writer);
  peermr_work bad = work(PEERMR_WRITE, 1);
  bad.size = 8;
  EXPECT_EQ(post(bad), -EINVAL);
  bad = work(PEERMR_RECEIVE, 1);
  EXPECT_EQ(post(bad), -EINVAL);
  EXPECT_NE(std::string(peermr_last_error()).find("post_receive"), std::string::npos);
  bad.operation = 9;
  EXPECT_EQ(post(bad), -EINVAL);
  bad.operation = -1;
  EXPECT_EQ(post(bad), -EINVAL);
  EXPECT_EQ(post(work(PEERMR_FETCH_ADD, 1)), -EOPNOTSUPP);
  EXPECT_EQ(post(work(PEERMR_WRITE, 1, kBytes - 4)), -EINVAL) << "it ends past the region";
  bad = work(PEERMR_WRITE, 1);
  bad.region = kRegion + 1;
  EXPECT_EQ(post(bad), -ENOENT);
  peermr_descriptor descriptor;
  EXPECT_EQ(peermr_connection_remote_region(writer, kRegion + 1, &descriptor), -ENOENT);
  EXPECT_EQ(peermr_connection_publish(owner, kRegion, region), -EEXIST);
  peermr_completion completion;
  EXPECT_EQ(peermr_connection_poll(writer, nullptr, 1), -EINVAL);
  EXPECT_EQ(peermr_connection_poll(writer, nullptr, 0), 0);
  EXPECT_EQ(peermr_connection_poll(writer, &completion, 1), 0);
  peermr_connection_event event;
  EXPECT_EQ(peermr_connection_next_event(writer, &event), -EAGAIN);
  EXPECT_EQ(peermr_connection_post(writer, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_post_receive(writer, 1, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_follow(writer, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_publish(writer, 1, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_publish_shared(writer, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_remote_region(writer, kRegion, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_next_event(writer, nullptr), -EINVAL);
}

TEST_F(CapiConnections, MoreThanIsKeptIsRefusedUntilPolled) {
  options.max_sends = 1;
  options.max_receives = 1;
  connect();
  ASSERT_EQ(post(work(PEERMR_WRITE, 1)), 0);
  EXPECT_EQ(post(work(PEERMR_WRITE, 2)), -EAGAIN);
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(post(work(PEERMR_WRITE, 2)), 0);
  post_receive(0);
  const peermr_local to{
      .region = nullptr, .address = inbox->address(), .length = 8, .lkey = inbox->mr->lkey};
  EXPECT_EQ(peermr_connection_post_receive(owner, 1, &to), -EAGAIN);
}

TEST_F(CapiConnections, WrongKeyOfThisSideEndsThatWorkAlone) {
  connect();
  peermr_work bad = work(PEERMR_WRITE, 1);
  bad.local.lkey ^= 0xff00;
  ASSERT_EQ(post(bad), 0);
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(completions[0].status, PEERMR_WORK_FAILED);
  EXPECT_EQ(completions[0].wc_status, IBV_WC_LOC_PROT_ERR);
  ASSERT_EQ(post(work(PEERMR_WRITE, 2)), 0) << peermr_last_error();
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[1].status, PEERMR_WORK_SUCCESS);
}

TEST_F(CapiConnections, PeerThatIsGoneEndsTheConnection) {
  connect();
  ASSERT_EQ(post(work(PEERMR_SEND, 1)), 0);  // for which there is no receive
  peermr_connection_close(owner);
  owner = nullptr;
  const auto end = Clock::now() + 5s;
  int status = 0;
  while (status == 0 && Clock::now() < end) status = peermr_connection_process(writer);
  EXPECT_EQ(status, -ECONNRESET);
  EXPECT_EQ(peermr_connection_state(writer), PEERMR_CONNECTION_DEAD);
  EXPECT_EQ(post(work(PEERMR_WRITE, 2)), -ENODEV);
  take(writer, completions);
  ASSERT_EQ(completions.size(), 1u);
  EXPECT_EQ(completions[0].status, PEERMR_WORK_OUTCOME_UNKNOWN);
}

}  // namespace
}  // namespace peermr::test
