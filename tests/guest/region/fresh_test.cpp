// SPDX-License-Identifier: BSD-2-Clause
//
// Fresh keys with an importer that would let an old key in again: each key has an export of its own.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "region/old_keys.hpp"

namespace {

using namespace region_test;
using namespace std::chrono_literals;

class Fresh : public OldKeys {
 protected:
  void SetUp() override {
    ASSERT_EQ(device_.exporter_features().kind, vfio::ExporterKind::kPeermrVfio);
  }

  Region fresh(const DmaBuf& buffer) { return must(try_make(buffer, {.keys = KeyPolicy::kFresh})); }
  DmaBuf held_after_a_revoke() {
    return must(device_.export_dma_buf(bar_, {.offset_bytes = 0, .length_bytes = kBytes},
                                       {.manual_rearm = true}));
  }
  std::uint32_t buffers() { return must(device_.exporter_info()).buffers; }
  /// By somebody whom the library does not know.
  void reset_through_sysfs() {
    std::ofstream file("/sys/bus/pci/devices/" + device_.bdf().to_string() + "/reset");
    ASSERT_TRUE(file << "1" << std::flush);
  }
};

TEST_F(Fresh, PeerThatUsesEveryKeyItEverSawGetsInWithTheNewestOnly) {
  const auto buffer = export_bytes(0, kBytes);
  auto region = fresh(buffer);
  EXPECT_EQ(region.importer().importer, verbs::ImporterClass::kFaultable);
  expect_newest_key_only(region);
  expect_usable(region, 3);
}

TEST_F(Fresh, OldKeyIsNotLetInBetweenTheRestoreAndTheNextKey) {
  const auto buffer = export_bytes(0, kBytes);
  auto region = fresh(buffer);
  const RegionKeys old = region.keys().value();
  ASSERT_EQ(write(old), IBV_WC_SUCCESS);
  reset_through_sysfs();
  // The memory is back, and nobody has told the region: its export is held.
  ASSERT_EQ(post_rdma(loopback_, IBV_WR_RDMA_WRITE, half(0), old.address.value(), old.rkey.value()),
            0);
  EXPECT_FALSE(poll_one(loopback_, 300)) << "let in, or refused for good";
  EXPECT_EQ(region.report_completion(IBV_WC_RNR_RETRY_EXC_ERR, old.generation),
            CompletionVerdict::kRevoked);
  ASSERT_TRUE(region.recover());
  const auto completion = poll_one(loopback_, 10000);
  ASSERT_TRUE(completion) << "still waits for memory that is gone for good";
  EXPECT_EQ(completion->status, IBV_WC_REM_ACCESS_ERR);
  loopback_.reconnect();
  EXPECT_NE(region.keys()->rkey, old.rkey);
  expect_usable(region, 4);
}

TEST_F(Fresh, MonitorBringsANewKeyAfterSomebodyElsesReset) {
  const auto monitor = must(Monitor::create());
  const auto buffer = export_bytes(0, kBytes);
  auto region = must(try_make(buffer, {.keys = KeyPolicy::kFresh, .monitor = &monitor}));
  const RegionKeys old = region.keys().value();
  reset_through_sysfs();
  for (int i = 0; i < 2000 && region.key_epoch() == old.key_epoch; ++i) {
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_GT(region.key_epoch(), old.key_epoch);
  EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR);
  expect_usable(region, 5);
}

TEST_F(Fresh, OwnerWhoReArmsByHandDecidesWhenTheNextKeyIsMade) {
  const auto buffer = held_after_a_revoke();
  auto region = fresh(buffer);
  const RegionKeys old = region.keys().value();
  const auto report = must(device_.reset());
  EXPECT_EQ(report.restored, 0u);
  EXPECT_EQ(region.state(), RegionState::kRevoked);
  const auto too_early = region.recover(20ms);
  ASSERT_FALSE(too_early);
  EXPECT_EQ(too_early.error().code(), Errc::kRevoked);
  ASSERT_TRUE(device_.rearm(buffer, must(device_.query(buffer)).revokes));
  ASSERT_EQ(region.state(), RegionState::kLive);
  EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR);
  expect_usable(region, 6);
}

TEST_F(Fresh, BufferTakenBackForGoodEndsTheRegionWhoeverMadeItsExports) {
  const auto buffer = export_bytes(0, kBytes);
  auto region = fresh(buffer);
  const RegionKeys old = region.keys().value();
  ASSERT_TRUE(device_.revoke(buffer));
  EXPECT_EQ(region.state(), RegionState::kDead);
  EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR);
}

TEST_F(Fresh, NothingIsLeftOfTheExportsOnceTheRegionIsClosed) {
  const auto buffer = export_bytes(0, kBytes);
  const std::uint32_t before = buffers();
  {
    auto region = fresh(buffer);
    for (int i = 0; i < 5; ++i) reset();
    EXPECT_EQ(buffers(), before + 6) << "one for each key that a peer may hold";
    ASSERT_TRUE(region.release_keys_before(region.key_epoch()));
    EXPECT_EQ(buffers(), before + 1);
  }
  EXPECT_EQ(buffers(), before);
}

TEST_F(Fresh, RegionsWithStableKeysOfTheSameBufferKeepTheirs) {
  const auto buffer = export_bytes(0, kBytes);
  const auto region = fresh(buffer);
  const auto stable = must(try_make(buffer));
  const auto key = stable.keys()->rkey;
  reset();
  EXPECT_EQ(stable.keys()->rkey, key);
  expect_usable(stable, 7);
  expect_usable(region, 8);
}

// On a device with power management.
class FreshAsleep : public Fresh {};

TEST_F(FreshAsleep, IsRevokedAndHasANewKeyOnceAwake) {
  const auto buffer = export_bytes(0, kBytes);
  const auto region = fresh(buffer);
  const RegionKeys old = region.keys().value();
  const auto slept = device_.set_power(vfio::PowerState::kD3hot);
  ASSERT_TRUE(slept) << slept.error().message();
  EXPECT_EQ(region.state(), RegionState::kRevoked);
  ASSERT_TRUE(device_.set_power(vfio::PowerState::kD0));
  ASSERT_EQ(region.state(), RegionState::kLive);
  EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR);
  expect_usable(region, 9);
}

// The kernel's own exporter takes nothing back for good.
class FreshOfMainline : public OldKeys {};

TEST_F(FreshOfMainline, IsRefusedWithARemedy) {
  ASSERT_EQ(device_.exporter_features().kind, vfio::ExporterKind::kMainline);
  const auto region = try_make(export_bytes(0, kBytes), {.keys = KeyPolicy::kFresh});
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code(), std::errc::not_supported);
  EXPECT_NE(region.error().message().find("peermr_vfio"), std::string::npos);
}

}  // namespace
