// SPDX-License-Identifier: BSD-2-Clause
//
// What a region makes of a monitor's news.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

#include "peermr/log.hpp"
#include "region/region_fixture.hpp"

namespace peermr {
namespace {

using detail::InvalidateSource;
using detail::Watcher;
using testing::ElementsAre;
using testing::IsEmpty;
using verbs::ImporterClass;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Kernel {
  WatchStatus status;
  int asked = 0;
  int asks = 0;
  int stops = 0;
};

class FakeSource final : public InvalidateSource {
 public:
  explicit FakeSource(Kernel& kernel) : kernel_(kernel) {}
  Result<WatchStatus> status() const override {
    ++kernel_.asked;
    return kernel_.status;
  }
  void ask() noexcept override { ++kernel_.asks; }
  void stop() noexcept override { ++kernel_.stops; }

 private:
  Kernel& kernel_;
};

class WatchedRegion : public test::RegionTest {
 protected:
  WatchedRegion() {
    subscribe_ =
        [this](const std::weak_ptr<Watcher>& watcher) -> Result<std::unique_ptr<InvalidateSource>> {
      watcher_ = watcher;
      if (on_subscribe_) on_subscribe_();
      return std::unique_ptr<InvalidateSource>(std::make_unique<FakeSource>(kernel_));
    };
  }
  // What somebody else does; the region is not told before it looks.
  void revoke() {
    ++kernel_.status.total;
    device_.memory_there = false;
  }
  void restore() {
    ++kernel_.status.total;
    device_.memory_there = true;
  }

  Kernel kernel_;
  std::weak_ptr<Watcher> watcher_;
  std::function<void()> on_subscribe_;  // when the monitor knows the region, and it not the monitor
};

TEST_F(WatchedRegion, CountsWhatTheMonitorTellsBeforeItIsMade) {
  on_subscribe_ = [this] {
    ++kernel_.status.total;
    EXPECT_EQ(watcher_.lock()->look(), std::nullopt);
  };
  const auto region = make(ImporterClass::kRevocable);
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->generation(), Generation(0));
  EXPECT_THAT(device_.registered, ElementsAre(1u));
}

TEST_F(WatchedRegion, HasOneKeyThoughTheMonitorTellsBetweenTheFirstAttempts) {
  config_.back_off.first = 50ms;
  device_.failures = {test::invalid()};
  std::thread monitor;
  device_.on_add = [&] {
    if (!monitor.joinable()) monitor = std::thread([this] { watcher_.lock()->look(); });
  };
  const auto region = make(ImporterClass::kRevocable);
  monitor.join();
  EXPECT_THAT(device_.registered, ElementsAre(1u));
  EXPECT_THAT(history_, ElementsAre(RegionState::kLive));
}

TEST_F(WatchedRegion, LooksInVainWhenNothingHappened) {
  const auto region = make(ImporterClass::kFaultable);
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->generation(), Generation(0));
  EXPECT_THAT(history_, ElementsAre(RegionState::kLive));
}

TEST_F(WatchedRegion, GivesNoKeysOnceOthersHaveRevokedAndTriesAgainSoon) {
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  const auto again = region->look();
  EXPECT_FALSE(region->lease());
  ASSERT_TRUE(again);
  EXPECT_GT(*again, Clock::now() - 1s);
  EXPECT_LT(*again, Clock::now() + 1s);
  restore();
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kLive);
  EXPECT_EQ(region->generation(), Generation(1));
  EXPECT_THAT(history_, ElementsAre(RegionState::kLive, RegionState::kRevoked,
                                    RegionState::kRestoring, RegionState::kLive));
}

TEST_F(WatchedRegion, GivesNoKeysAsSoonAsItHearsOfAnInvalidate) {
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  kernel_.asked = 0;
  region->invalidated(kernel_.status.total);
  EXPECT_EQ(kernel_.asked, 0) << "who asks may have to wait for the revoke";
  EXPECT_FALSE(region->lease());
  EXPECT_EQ(region->state(), RegionState::kRevoked);
  restore();
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->generation(), Generation(1));
  EXPECT_THAT(history_, ElementsAre(RegionState::kLive, RegionState::kRevoked,
                                    RegionState::kRestoring, RegionState::kLive));
}

TEST_F(WatchedRegion, OldNewsTakesNothingAway) {
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  restore();
  EXPECT_EQ(region->look(), std::nullopt);
  region->invalidated(1);
  region->invalidated(2);
  EXPECT_TRUE(region->lease());
  EXPECT_EQ(region->generation(), Generation(1));
}

TEST_F(WatchedRegion, NewsWhileItsOwnerActsIsTheOwners) {
  const auto region = make(ImporterClass::kFaultable);
  ASSERT_TRUE(events_->quiesce_all());
  revoke();
  restore();
  region->invalidated(kernel_.status.total);
  EXPECT_THAT(history_, ElementsAre(RegionState::kLive, RegionState::kRevoked));
  EXPECT_EQ(events_->restore_all().in_use, 1u);
  region->invalidated(kernel_.status.total);
  EXPECT_EQ(region->generation(), Generation(1));
}

TEST_F(WatchedRegion, PolicyFailIsDeadAtTheNews) {
  config_.on_revoke = RevokePolicy::kFail;
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  region->invalidated(kernel_.status.total);
  EXPECT_EQ(region->state(), RegionState::kDead);
  EXPECT_EQ(kernel_.stops, 1);
  EXPECT_EQ(region->look(), std::nullopt);
}

TEST_F(WatchedRegion, KnowsOfARevokeThatIsOverBeforeItLooks) {
  const auto region = make(ImporterClass::kRevocable);
  revoke();
  restore();
  EXPECT_EQ(region->look(), std::nullopt);
  const Lease lease = region->lease();
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->generation, Generation(1));
  EXPECT_EQ(lease->rkey, Rkey(2));
}

TEST_F(WatchedRegion, PausesLongerBetweenAttemptsAndGivesUpAtTheLimit) {
  // A limit that a busy machine leaves room in; 10, 20, 40, 40, ... ms: 26 pauses at most.
  config_.back_off = {.first = 10ms, .ceiling = 40ms, .limit = 1s};
  const auto region = make(ImporterClass::kRevocable);
  revoke();
  std::vector<Clock::duration> pauses;
  const auto begin = Clock::now();
  while (true) {
    const auto asked = Clock::now();
    const auto again = region->look();
    if (!again) break;
    pauses.push_back(*again - asked);
    std::this_thread::sleep_until(*again);
  }
  ASSERT_GE(pauses.size(), 3u);
  EXPECT_GE(pauses[0], 10ms);
  EXPECT_GE(pauses[1], 20ms);
  EXPECT_GE(pauses[2], 40ms);
  EXPECT_LE(pauses.size(), 26u);
  EXPECT_LT(Clock::now() - begin, 5s);
  EXPECT_EQ(region->state(), RegionState::kRevoked);
  EXPECT_EQ(region->look(), std::nullopt) << "nothing new";
  restore();
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kLive) << "a sign that the memory is back is heeded all the same";
}

TEST_F(WatchedRegion, InvalidateWhileItRegistersIsAnotherAttemptAndNoGenerationOfItsOwn) {
  config_.keys = KeyPolicy::kFresh;
  const auto region = make(ImporterClass::kRevocable);
  revoke();
  restore();
  device_.on_add = [this] {
    ++kernel_.status.total;
    device_.on_add = nullptr;
  };
  EXPECT_NE(region->look(), std::nullopt);
  EXPECT_EQ(region->generation(), Generation(0));
  EXPECT_FALSE(region->lease());
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kLive);
  EXPECT_EQ(region->look(), std::nullopt) << "nothing has happened since";
  EXPECT_EQ(region->generation(), Generation(1));
  EXPECT_THAT(device_.registered, ElementsAre(1u, 3u)) << "the key in between was nobody's";
}

TEST_F(WatchedRegion, IsLeftToItsOwnerWhileThatResets) {
  const auto region = make(ImporterClass::kFaultable);
  ASSERT_TRUE(events_->quiesce_all());
  kernel_.status.total += 2;
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(device_.probes, 0);
  events_->restore_all();
  EXPECT_EQ(region->generation(), Generation(1));
  EXPECT_EQ(region->look(), std::nullopt) << "those were the owner's invalidates";
  EXPECT_EQ(region->generation(), Generation(1));
}

TEST_F(WatchedRegion, ThatFailsFastIsDeadOnceItLooks) {
  config_.on_revoke = RevokePolicy::kFail;
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kDead);
  EXPECT_THAT(device_.registered, IsEmpty());
  EXPECT_GE(kernel_.stops, 1) << "it keeps the buffer no longer";
}

TEST_F(WatchedRegion, ThatIsHandedOverWaitsForTheApplication) {
  config_.on_revoke = RevokePolicy::kHandOver;
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  restore();
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kRevoked);
  ASSERT_TRUE(region->recover(std::nullopt));
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->generation(), Generation(1));
}

TEST_F(WatchedRegion, OfABufferThatIsHeldMakesNoAttemptsUntilItIsRearmed) {
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  kernel_.status.state = WatchState::kHeld;
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(device_.probes, 0);
  restore();
  kernel_.status.state = WatchState::kLive;
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kLive);
}

TEST_F(WatchedRegion, OfABufferThatWasRevokedForGoodIsDead) {
  const auto region = make(ImporterClass::kFaultable);
  revoke();
  kernel_.status.state = WatchState::kDead;
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kDead);
}

TEST_F(WatchedRegion, AsksToBeBroughtBackWhenACompletionShowsTheLoss) {
  const auto region = make(ImporterClass::kRevocable);
  EXPECT_EQ(region->report_completion(IBV_WC_REM_ACCESS_ERR, Generation(0)),
            CompletionVerdict::kRevoked);
  EXPECT_EQ(kernel_.asks, 1);
  EXPECT_EQ(region->report_completion(IBV_WC_REM_ACCESS_ERR, Generation(0)),
            CompletionVerdict::kRevoked);
  EXPECT_EQ(kernel_.asks, 1) << "once";
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->state(), RegionState::kLive);
  EXPECT_EQ(region->generation(), Generation(1));
}

TEST_F(WatchedRegion, IsStaleIfInvalidatedWhileItRegistered) {
  const auto region = make(ImporterClass::kRevocable);
  revoke();
  restore();
  ++kernel_.status.total;
  EXPECT_EQ(region->look(), std::nullopt);
  ++kernel_.status.total;  // after the count was read, before the event was
  EXPECT_EQ(region->look(), std::nullopt);
  EXPECT_EQ(region->generation(), Generation(2));
}

TEST_F(WatchedRegion, TellsTheSourceWhenItIsClosed) {
  const auto region = make(ImporterClass::kFaultable);
  ASSERT_TRUE(region->close());
  EXPECT_EQ(kernel_.stops, 1);
  EXPECT_EQ(region->look(), std::nullopt);
}

}  // namespace
}  // namespace peermr
