// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "peermr/log.hpp"
#include "region/region_fixture.hpp"

namespace peermr {
namespace {

using detail::MemoryEvents;
using detail::RegionCore;
using test::FakeRegistrar;
using test::RegionTest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using verbs::ImporterClass;
using namespace std::chrono_literals;

TEST_F(RegionTest, LeaseOfALiveRegionGivesTheKeys) {
  const auto region = make(ImporterClass::kFaultable);
  EXPECT_EQ(region->state(), RegionState::kLive);
  const Lease lease = region->lease();
  ASSERT_TRUE(lease);
  EXPECT_EQ(*lease, (RegionKeys{.lkey = Lkey(1),
                                .rkey = Rkey(1),
                                .address = Iova(4096),
                                .length_bytes = 8192,
                                .generation = Generation(0),
                                .key_epoch = KeyEpoch(0)}));
}

TEST_F(RegionTest, FaultableImporterKeepsItsKeyOverAReset) {
  const auto region = make(ImporterClass::kFaultable);
  EXPECT_EQ(reset()->in_use, 1u);
  const Lease lease = region->lease();
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->rkey, Rkey(1));
  EXPECT_EQ(lease->generation, Generation(1));
  EXPECT_EQ(lease->key_epoch, KeyEpoch(0));
  EXPECT_EQ(device_.adds, 1);
  EXPECT_THAT(history_, ElementsAre(RegionState::kLive, RegionState::kRevoked,
                                    RegionState::kRestoring, RegionState::kLive));
}

class RegionOfOtherImporters : public RegionTest,
                               public testing::WithParamInterface<ImporterClass> {};

TEST_P(RegionOfOtherImporters, GetsANewKeyAndFreesTheOldOne) {
  const auto region = make(GetParam());
  EXPECT_EQ(reset()->in_use, 1u);
  const Lease lease = region->lease();
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->rkey, Rkey(2));
  EXPECT_EQ(lease->generation, Generation(1));
  EXPECT_EQ(lease->key_epoch, KeyEpoch(1));
  EXPECT_THAT(device_.registered, ElementsAre(2u));
}

INSTANTIATE_TEST_SUITE_P(Classes, RegionOfOtherImporters,
                         testing::Values(ImporterClass::kRevocable, ImporterClass::kUnknown,
                                         ImporterClass::kPinned));

TEST_F(RegionTest, RegionBetweenRevokeAndRestoreGivesNoKeys) {
  const auto region = make(ImporterClass::kRevocable);
  ASSERT_TRUE(events_->quiesce_all());
  EXPECT_EQ(region->state(), RegionState::kRevoked);
  EXPECT_FALSE(region->lease());
  events_->restore_all();
  EXPECT_TRUE(region->lease());
}

TEST_F(RegionTest, RestoreTriesUntilTheMemoryCanBeMapped) {
  const auto region = make(ImporterClass::kRevocable);
  device_.failures = {test::not_now(), test::invalid(), test::not_now(), test::invalid()};
  EXPECT_EQ(reset()->in_use, 1u);
  EXPECT_EQ(device_.adds, 1 + 5);
  EXPECT_TRUE(region->lease());
}

TEST_F(RegionTest, RestoreOfAFaultableImporterProbes) {
  const auto region = make(ImporterClass::kFaultable);
  device_.failures = {test::not_now(), test::not_now()};
  EXPECT_EQ(reset()->in_use, 1u);
  EXPECT_EQ(device_.probes, 3);
}

TEST_F(RegionTest, RestoreGivesUpAtTheLimitAndCanBeTriedAgain) {
  config_.back_off.limit = 5ms;
  const auto region = make(ImporterClass::kRevocable);
  device_.memory_there = false;
  set_log_level(LogLevel::kOff);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(reset()->in_use, 0u);
  set_log_level(LogLevel::kWarning);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
  EXPECT_EQ(region->state(), RegionState::kRevoked);
  device_.memory_there = true;
  EXPECT_TRUE(region->recover({}));
  EXPECT_EQ(region->generation(), Generation(1));
}

TEST_F(RegionTest, RestoreWithoutALimitTriesForAsLongAsItTakes) {
  config_.back_off.limit = std::chrono::nanoseconds::max();
  const auto region = make(ImporterClass::kRevocable);
  device_.failures = {test::not_now(), test::not_now(), test::not_now()};
  EXPECT_EQ(reset()->in_use, 1u);
  EXPECT_EQ(region->state(), RegionState::kLive);
}

TEST_F(RegionTest, RestoreStopsAtAnErrorThatTimeDoesNotCure) {
  const auto region = make(ImporterClass::kRevocable);
  ASSERT_TRUE(events_->quiesce_all());
  device_.failures = {make_error(Errc::kPathNotSupported, "register", "fake")};
  set_log_level(LogLevel::kOff);
  EXPECT_EQ(events_->restore_all().in_use, 0u);
  set_log_level(LogLevel::kWarning);
  EXPECT_EQ(device_.adds, 2);
  EXPECT_EQ(region->state(), RegionState::kRevoked);
}

TEST_F(RegionTest, PolicyFailMeansDeadAtTheFirstRevoke) {
  config_.on_revoke = RevokePolicy::kFail;
  const auto region = make(ImporterClass::kFaultable);
  EXPECT_EQ(reset()->in_use, 0u);
  EXPECT_EQ(region->state(), RegionState::kDead);
  EXPECT_FALSE(region->lease());
  EXPECT_THAT(device_.registered, IsEmpty());
  EXPECT_EQ(region->recover({}).error().code(), Errc::kDead);
}

TEST_F(RegionTest, PolicyFailAppliesToRevokesThatACompletionTold) {
  config_.on_revoke = RevokePolicy::kFail;
  const auto region = make(ImporterClass::kFaultable);
  region->report_completion(IBV_WC_LOC_PROT_ERR, Generation(0));
  EXPECT_EQ(region->recover({}).error().code(), Errc::kDead);
  EXPECT_EQ(region->state(), RegionState::kDead);
}

TEST_F(RegionTest, PolicyHandOverWaitsForTheApplication) {
  config_.on_revoke = RevokePolicy::kHandOver;
  const auto region = make(ImporterClass::kRevocable);
  EXPECT_EQ(reset()->in_use, 0u);
  EXPECT_EQ(region->state(), RegionState::kRestoring);
  EXPECT_EQ(device_.adds, 1);
  EXPECT_TRUE(region->recover({}));
  EXPECT_EQ(region->state(), RegionState::kLive);
}

TEST_F(RegionTest, FreshKeysKeepOldOnesReservedUntilReleased) {
  config_.keys = KeyPolicy::kFresh;
  const auto region = make(ImporterClass::kRevocable);
  ASSERT_TRUE(reset());
  ASSERT_TRUE(reset());
  EXPECT_EQ(region->key_epoch(), KeyEpoch(2));
  EXPECT_THAT(device_.registered, ElementsAre(1u, 2u, 3u));
  EXPECT_TRUE(region->release_keys_before(KeyEpoch(1)));
  EXPECT_THAT(device_.registered, ElementsAre(2u, 3u));
  EXPECT_TRUE(region->release_keys_before(KeyEpoch(9)));
  EXPECT_THAT(device_.registered, ElementsAre(3u)) << "the current key is not an old one";
}

TEST_F(RegionTest, FreshKeysOfAFaultableImporterAreNewAfterEachRevoke) {
  config_.keys = KeyPolicy::kFresh;
  const auto region = make(ImporterClass::kFaultable);
  ASSERT_TRUE(reset());
  EXPECT_EQ(region->key_epoch(), KeyEpoch(1));
  EXPECT_THAT(device_.registered, ElementsAre(1u, 2u)) << "the old one stays reserved";
  EXPECT_EQ(device_.probes, 0);
}

TEST_F(RegionTest, FreshKeyThatNoRevokeHasEndedIsGivenBackBeforeTheNextOneIsMade) {
  config_.keys = KeyPolicy::kFresh;
  const auto region = make(ImporterClass::kRevocable);
  ASSERT_TRUE(events_->quiesce_all());
  EXPECT_EQ(events_->resume_all().in_use, 1u);
  EXPECT_EQ(region->key_epoch(), KeyEpoch(1));
  EXPECT_THAT(device_.registered, ElementsAre(2u)) << "the memory was never away: the old key lives";
  // So it is after a completion that a revoke could explain, but none did.
  region->report_completion(IBV_WC_REM_ACCESS_ERR, Generation(1));
  ASSERT_TRUE(region->recover({}));
  EXPECT_THAT(device_.registered, ElementsAre(3u));
  ASSERT_TRUE(reset());
  EXPECT_THAT(device_.registered, ElementsAre(3u, 4u)) << "dead by the revoke, and reserved";
}

TEST_F(RegionTest, FreshKeysAreRefusedWhereOldOnesWouldBeLetInAgain) {
  config_.keys = KeyPolicy::kFresh;
  device_.ends_keys = false;
  const auto region = try_make(ImporterClass::kFaultable);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code(), std::errc::not_supported);
  EXPECT_EQ(device_.adds, 0);
}

TEST_F(RegionTest, CompletionErrorTakesTheKeysAwayUntilRecovered) {
  const auto region = make(ImporterClass::kFaultable);
  EXPECT_EQ(region->report_completion(IBV_WC_LOC_PROT_ERR, Generation(0)),
            CompletionVerdict::kRevoked);
  EXPECT_EQ(region->state(), RegionState::kRevoked);
  EXPECT_FALSE(region->lease());
  EXPECT_EQ(region->report_completion(IBV_WC_LOC_PROT_ERR, Generation(0)),
            CompletionVerdict::kRevoked);
  EXPECT_TRUE(region->recover({}));
  EXPECT_EQ(region->generation(), Generation(1));
  EXPECT_THAT(history_, ElementsAre(RegionState::kLive, RegionState::kRevoked,
                                    RegionState::kRestoring, RegionState::kLive));
}

TEST_F(RegionTest, CompletionOfAnOlderGenerationIsStale) {
  const auto region = make(ImporterClass::kFaultable);
  ASSERT_TRUE(reset());
  EXPECT_EQ(region->report_completion(IBV_WC_REM_ACCESS_ERR, Generation(0)),
            CompletionVerdict::kStale);
  EXPECT_EQ(region->state(), RegionState::kLive);
}

TEST_F(RegionTest, CompletionThatNoRevokeExplainsIsUnrelated) {
  const auto region = make(ImporterClass::kFaultable);
  for (const auto status :
       {IBV_WC_SUCCESS, IBV_WC_WR_FLUSH_ERR, IBV_WC_LOC_LEN_ERR, IBV_WC_RETRY_EXC_ERR}) {
    EXPECT_EQ(region->report_completion(status, Generation(0)), CompletionVerdict::kUnrelated);
  }
  EXPECT_EQ(region->state(), RegionState::kLive);
}

TEST_F(RegionTest, RecoveringALiveRegionChangesNothing) {
  const auto region = make(ImporterClass::kRevocable);
  EXPECT_TRUE(region->recover({}));
  EXPECT_EQ(region->generation(), Generation(0));
  EXPECT_EQ(device_.adds, 1);
}

TEST_F(RegionTest, WhoHoldsALeaseMayNotWaitForLeases) {
  const auto region = make(ImporterClass::kFaultable);
  {
    const Lease lease = region->lease();
    EXPECT_TRUE(thread_holds_lease());
    EXPECT_EQ(reset().error().code(), Errc::kLeaseHeld);
    EXPECT_EQ(region->recover({}).error().code(), Errc::kLeaseHeld);
    EXPECT_EQ(region->close().error().code(), Errc::kLeaseHeld);
    EXPECT_TRUE(region->lease()) << "leases nest, and the region is as it was";
  }
  EXPECT_FALSE(thread_holds_lease());
  EXPECT_TRUE(reset());
}

TEST_F(RegionTest, LeaseOfARevokedRegionHoldsNothing) {
  const auto region = make(ImporterClass::kFaultable);
  ASSERT_TRUE(events_->quiesce_all());
  const Lease lease = region->lease();
  EXPECT_FALSE(lease);
  EXPECT_FALSE(thread_holds_lease());
}

TEST_F(RegionTest, ClosingWaitsForLeasesOfOtherThreads) {
  const auto region = make(ImporterClass::kFaultable);
  std::atomic<bool> holds{false};
  std::atomic<bool> released{false};
  std::thread reader([&] {
    const Lease lease = region->lease();
    holds = true;
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(device_.registered.size(), 1u);
    released = true;
  });
  while (!holds) std::this_thread::yield();
  EXPECT_TRUE(region->close());
  EXPECT_TRUE(released);
  reader.join();
}

TEST_F(RegionTest, ClosingDeregistersEverythingAndEndsTheRegion) {
  config_.keys = KeyPolicy::kFresh;
  const auto region = make(ImporterClass::kRevocable);
  ASSERT_TRUE(reset());
  EXPECT_TRUE(region->close());
  EXPECT_THAT(device_.registered, IsEmpty());
  EXPECT_EQ(region->state(), RegionState::kDead);
  EXPECT_FALSE(region->lease());
  EXPECT_TRUE(region->close());
  EXPECT_EQ(reset()->in_use, 0u);
  EXPECT_EQ(region->state(), RegionState::kDead);
}

TEST_F(RegionTest, ClosingReportsWhatTheDeviceSaysButEndsAllTheSame) {
  const auto region = make(ImporterClass::kRevocable);
  device_.fail_remove = true;
  EXPECT_EQ(region->close().error().code(), std::errc::io_error);
  EXPECT_EQ(region->state(), RegionState::kDead);
  EXPECT_TRUE(region->close());
}

TEST_F(RegionTest, ClosingEndsARecoveryThatWaits) {
  config_.back_off = {.first = 10s, .ceiling = 10s, .limit = 60s};
  const auto region = make(ImporterClass::kRevocable);
  ASSERT_TRUE(events_->quiesce_all());
  device_.memory_there = false;
  std::thread waiting([&] { EXPECT_EQ(region->recover({}).error().code(), Errc::kDead); });
  while (region->state() != RegionState::kRestoring) std::this_thread::yield();
  EXPECT_TRUE(region->close());
  waiting.join();
}

TEST_F(RegionTest, RevokeEndsARecoveryThatWaits) {
  config_.back_off = {.first = 10s, .ceiling = 10s, .limit = 60s};
  const auto region = make(ImporterClass::kRevocable);
  region->report_completion(IBV_WC_LOC_PROT_ERR, Generation(0));
  device_.memory_there = false;
  std::thread waiting([&] { EXPECT_EQ(region->recover({}).error().code(), Errc::kRevoked); });
  while (region->state() != RegionState::kRestoring) std::this_thread::yield();
  ASSERT_TRUE(events_->quiesce_all());
  waiting.join();
  EXPECT_EQ(region->state(), RegionState::kRevoked);
}

TEST_F(RegionTest, ClosedDeviceMeansDeadRegions) {
  const auto region = make(ImporterClass::kFaultable);
  ASSERT_TRUE(events_->quiesce_all());
  events_->gone_all();
  EXPECT_EQ(region->state(), RegionState::kDead);
  EXPECT_THAT(device_.registered, IsEmpty());
  EXPECT_EQ(try_make(ImporterClass::kFaultable).error().code(), Errc::kDead);
}

TEST_F(RegionTest, NoRegionIsMadeWhileMemoryIsAway) {
  ASSERT_TRUE(events_->quiesce_all());
  const auto region = try_make(ImporterClass::kFaultable);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code(), Errc::kRevoked);
  EXPECT_THAT(region.error().message(), HasSubstr("memory decode"));
  EXPECT_EQ(device_.adds, 0);
}

TEST_F(RegionTest, FirstRegistrationRidesOverARaceButNotOverARefusal) {
  device_.failures = {test::invalid(), test::invalid()};
  EXPECT_TRUE(try_make(ImporterClass::kFaultable));
  EXPECT_EQ(device_.adds, 3);
  device_.failures = {test::invalid(), test::invalid(), test::invalid()};
  EXPECT_EQ(try_make(ImporterClass::kFaultable).error().code(), std::errc::invalid_argument);
  device_.failures = {test::not_now()};
  device_.adds = 0;
  EXPECT_EQ(try_make(ImporterClass::kFaultable).error().code(), Errc::kRevoked);
  EXPECT_EQ(device_.adds, 1);
}

TEST_F(RegionTest, RegionThatIsDroppedLeavesNothingRegistered) {
  make(ImporterClass::kFaultable).reset();
  EXPECT_THAT(device_.registered, IsEmpty());
  EXPECT_EQ(reset()->observers, 0u);
}

}  // namespace
}  // namespace peermr
