// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>
#include <poll.h>

#include <map>
#include <thread>
#include <vector>

#include "region/event_queue.hpp"

namespace peermr {
namespace {

RegionEvent event(RegionState state, std::uint64_t generation, const Error* error = nullptr) {
  return {.state = state,
          .generation = Generation(generation),
          .key_epoch = KeyEpoch(0),
          .error = error};
}

class EventQueueTest : public testing::Test {
 protected:
  bool readable() const {
    pollfd waits{.fd = queue_.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&waits, 1, 0) == 1;
  }
  std::function<void(const RegionEvent&)> region(std::uint64_t cookie) {
    return queue_.core()->listener(cookie, nullptr);
  }

  EventQueue queue_ = EventQueue::create().value();
};

TEST_F(EventQueueTest, IsReadableWhileThereIsSomethingToRead) {
  EXPECT_FALSE(readable());
  EXPECT_FALSE(queue_.read());
  const auto one = region(1), two = region(2);
  one(event(RegionState::kRevoked, 0));
  two(event(RegionState::kDead, 5));
  EXPECT_TRUE(readable());
  EXPECT_EQ(queue_.read()->cookie, 1u);
  EXPECT_TRUE(readable());
  EXPECT_EQ(queue_.read()->cookie, 2u);
  EXPECT_FALSE(readable());
  EXPECT_FALSE(queue_.read());
  one(event(RegionState::kLive, 1));
  EXPECT_TRUE(readable());
}

TEST_F(EventQueueTest, KeepsTheLatestOfARegionAndCountsTheOthers) {
  const auto changed = region(7);
  const Error error = make_error(Errc::kRevoked, "register", "memory");
  changed(event(RegionState::kRevoked, 0, &error));
  changed(event(RegionState::kRestoring, 0));
  changed(event(RegionState::kLive, 1));
  const auto read = queue_.read();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->state, RegionState::kLive);
  EXPECT_EQ(read->generation, Generation(1));
  EXPECT_EQ(read->changes, 3u);
  EXPECT_EQ(read->error, "");
  EXPECT_FALSE(queue_.read());
  changed(event(RegionState::kRevoked, 1, &error));
  const auto bad = queue_.read();
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->changes, 1u);
  EXPECT_EQ(bad->error, error.message());
}

TEST_F(EventQueueTest, PassesEventsOn) {
  int calls = 0;
  const auto both = queue_.core()->listener(1, [&calls](const RegionEvent&) { ++calls; });
  both(event(RegionState::kLive, 0));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(queue_.read());
}

TEST_F(EventQueueTest, MayGoBeforeItsRegions) {
  const auto outlives = region(1);
  { const EventQueue gone = std::move(queue_); }
  outlives(event(RegionState::kDead, 0));
  queue_ = EventQueue::create().value();
  EXPECT_FALSE(readable());
}

TEST_F(EventQueueTest, LosesNoChangeBetweenThreads) {
  constexpr std::uint64_t kRegions = 4, kChanges = 5000;
  std::vector<std::thread> writers;
  for (std::uint64_t cookie = 0; cookie < kRegions; ++cookie) {
    writers.emplace_back([changed = region(cookie)] {
      for (std::uint64_t i = 1; i <= kChanges; ++i) changed(event(RegionState::kLive, i));
    });
  }
  std::map<std::uint64_t, std::uint64_t> changes, last;
  std::uint64_t total = 0;
  while (total < kRegions * kChanges) {
    pollfd waits{.fd = queue_.fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&waits, 1, 10000), 1) << "something got lost";
    const auto read = queue_.read();
    ASSERT_TRUE(read);
    EXPECT_GT(read->generation.value(), last[read->cookie]);
    last[read->cookie] = read->generation.value();
    changes[read->cookie] += read->changes;
    total += read->changes;
  }
  for (auto& writer : writers) writer.join();
  for (const auto& [cookie, count] : changes) EXPECT_EQ(count, kChanges) << cookie;
  EXPECT_FALSE(readable());
}

}  // namespace
}  // namespace peermr
