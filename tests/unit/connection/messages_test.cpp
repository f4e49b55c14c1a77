// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/messages.hpp"

#include <gtest/gtest.h>

#include <random>

namespace peermr {
namespace {

StartMessage start() {
  StartMessage message;
  message.epoch = 3;
  message.address = {
      .qp_number = 0x123456, .lid = 17, .has_gid = true, .mtu = 5, .max_read_atomic = 4};
  message.address.gid[0] = 0xfe;
  message.psn = 0xabcdef;
  message.received = 0x1'0000'0001;
  message.reason = IBV_WC_REM_ACCESS_ERR;
  message.region = RegionId(99);
  return message;
}

std::vector<Message> one_of_each() {
  return {start(),
          ReadyMessage{7},
          RegionDescriptor{.id = RegionId(1), .state = DescriptorState::kPaused},
          AcknowledgeMessage{RegionId(5), DescriptorState::kDead, Generation(6), KeyEpoch(7)},
          SyncMessage{8},
          SyncedMessage{9}};
}

TEST(Messages, ComeBackAsTheyWere) {
  for (const Message& message : one_of_each()) {
    const auto decoded = decode_message(encode(message));
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(*decoded, message);
  }
}

TEST(Messages, OfAnotherLengthAreRefused) {
  for (const Message& message : one_of_each()) {
    auto bytes = encode(message);
    bytes.push_back({});
    EXPECT_EQ(decode_message(bytes).error().code(), Errc::kMalformed);
    for (; !bytes.empty();) {
      bytes.pop_back();
      if (bytes.size() == encode(message).size()) continue;
      EXPECT_EQ(decode_message(bytes).error().code(), Errc::kMalformed);
    }
  }
}

void expect_refused(StartMessage message) {
  EXPECT_EQ(decode_message(encode(message)).error().code(), Errc::kMalformed);
}

TEST(Messages, StartThatCannotBeIsRefused) {
  StartMessage message = start();
  message.epoch = 0;
  expect_refused(message);
  message = start();
  message.psn = 1 << 24;
  expect_refused(message);
  message = start();
  message.address.qp_number = 0;
  expect_refused(message);
  message.address.qp_number = 1 << 24;
  expect_refused(message);
  message = start();
  message.address.mtu = 0;
  expect_refused(message);
  message.address.mtu = 6;
  expect_refused(message);
  message = start();
  message.address.lid = 0;
  message.address.has_gid = false;
  expect_refused(message);
}

TEST(Messages, HeaderThatIsNotOursIsRefused) {
  for (const std::size_t at : {0u, 3u, 4u, 5u, 6u, 7u}) {
    auto bytes = encode(ReadyMessage{1});
    bytes[at] ^= std::byte{0x40};
    EXPECT_EQ(decode_message(bytes).error().code(), Errc::kMalformed) << at;
  }
  auto bytes = encode(ReadyMessage{1});
  bytes[5] = std::byte{0};
  EXPECT_FALSE(decode_message(bytes));
}

TEST(Messages, ReservedBytesAreZero) {
  auto bytes = encode(start());
  bytes[8 + 16] = std::byte{1};  // within the GID: fine
  EXPECT_TRUE(decode_message(bytes));
  bytes = encode(start());
  bytes[8 + 15] = std::byte{3};  // flags
  EXPECT_FALSE(decode_message(bytes));
  bytes = encode(start());
  bytes[8 + 45] = std::byte{1};
  EXPECT_FALSE(decode_message(bytes));
  bytes = encode(AcknowledgeMessage{});
  bytes[8 + 31] = std::byte{1};
  EXPECT_FALSE(decode_message(bytes));
  bytes = encode(AcknowledgeMessage{});
  bytes[8 + 27] = std::byte{4};  // a state
  EXPECT_FALSE(decode_message(bytes));
}

// What is accepted says the same when it is encoded again, so no two readers can differ about it.
TEST(Messages, GarbageIsRefusedOrMeansOneThing) {
  std::mt19937 random(1);
  const auto seeds = one_of_each();
  for (int i = 0; i < 200000; ++i) {
    auto bytes = encode(seeds[random() % seeds.size()]);
    for (int flips = 0; flips < 1 + static_cast<int>(random() % 3); ++flips) {
      bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << random() % 8);
    }
    const auto decoded = decode_message(bytes);
    if (decoded) {
      ASSERT_EQ(encode(*decoded), bytes);
    }
  }
}

}  // namespace
}  // namespace peermr
