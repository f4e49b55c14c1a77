// SPDX-License-Identifier: BSD-2-Clause
//
// Regions whose memory others revoke and restore: nobody in this process tells them, a monitor does.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "region/fixture.hpp"

namespace {

using namespace region_test;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

bool eventually(const std::function<bool()>& condition) {
  for (const auto end = Clock::now() + 20s * guest_test::time_scale(); Clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return condition();
}

class Monitored : public RegionInTheLab {
 protected:
  /// As a process gets it that does not own the device.
  DmaBuf borrowed(std::uint64_t offset = 0, std::uint64_t length = kBytes) {
    const DmaBuf own = export_bytes(offset, length);
    return must(DmaBuf::adopt(UniqueFd(::fcntl(own.fd(), F_DUPFD_CLOEXEC, 0)), "borrowed"));
  }
  Region watched(const DmaBuf& buffer, RevokePolicy policy = RevokePolicy::kPause) {
    return must(try_make(buffer, {.on_revoke = policy,
                                  .back_off = {.limit = 500ms},
                                  .monitor = &monitor_}));
  }
  bool ours() const { return device_.exporter_features().kind == vfio::ExporterKind::kPeermrVfio; }

  Monitor monitor_ = must(Monitor::create());
};

TEST_F(Monitored, RegionGivesNoKeysOnceOthersRevokedAndComesBackWithTheMemory) {
  const auto region = watched(borrowed());
  ASSERT_TRUE(device_.set_memory_enabled(false));
  EXPECT_TRUE(eventually([&] { return region.state() != RegionState::kLive; }));
  EXPECT_FALSE(region.lease());
  ASSERT_TRUE(device_.set_memory_enabled(true));
  ASSERT_TRUE(eventually([&] { return region.state() == RegionState::kLive; }));
  EXPECT_GE(region.generation(), Generation(1));
  expect_usable(region, 1);
}

TEST_F(Monitored, RegionComesBackThoughTheMemoryWasAwayForLongerThanItTries) {
  const auto region = watched(borrowed());
  ASSERT_TRUE(device_.set_memory_enabled(false));
  ASSERT_TRUE(eventually([&] { return region.state() == RegionState::kRevoked; }));
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(region.state(), RegionState::kRevoked);
  ASSERT_TRUE(device_.set_memory_enabled(true));
  ASSERT_TRUE(eventually([&] { return region.state() == RegionState::kLive; }));
  expect_usable(region, 2);
}

TEST_F(Monitored, EachResetIsAGeneration) {
  const auto region = watched(borrowed());
  for (std::uint64_t i = 1; i <= 10; ++i) {
    ASSERT_TRUE(device_.reset());
    ASSERT_TRUE(eventually([&] {
      return region.state() == RegionState::kLive && region.generation() >= Generation(i);
    })) << "reset " << i;
  }
  expect_usable(region, 3);
}

TEST_F(Monitored, RegionOfTheOwnerTakesItsOwnResetsForOneGenerationEach) {
  const auto region = watched(export_bytes(0, kBytes));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(device_.reset());
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(region.state(), RegionState::kLive);
  EXPECT_EQ(region.generation(), Generation(10));
}

TEST_F(Monitored, ResetThroughSysfsIsNoticed) {
  if (!ours()) GTEST_SKIP() << "mainline's exporter revokes nothing then";
  const auto region = watched(export_bytes(0, kBytes));
  std::ofstream("/sys/bus/pci/devices/" + lab("LAB_IVSHMEM") + "/reset") << "1" << std::flush;
  ASSERT_TRUE(eventually([&] {
    return region.state() == RegionState::kLive && region.generation() >= Generation(1);
  }));
  expect_usable(region, 4);
}

TEST_F(Monitored, RegionsOfOneBufferAllComeBack) {
  const DmaBuf buffer = borrowed();
  std::vector<Region> regions;
  for (int i = 0; i < 32; ++i) regions.push_back(watched(buffer));
  ASSERT_TRUE(device_.reset());
  for (const Region& region : regions) {
    ASSERT_TRUE(eventually([&] {
      return region.state() == RegionState::kLive && region.generation() >= Generation(1);
    }));
  }
  expect_usable(regions.front(), 5);
  expect_usable(regions.back(), 6);
}

TEST_F(Monitored, RegionThatFailsFastIsDead) {
  const auto region = watched(borrowed(), RevokePolicy::kFail);
  ASSERT_TRUE(device_.reset());
  EXPECT_TRUE(eventually([&] { return region.state() == RegionState::kDead; }));
}

TEST_F(Monitored, RegionOfAClosedDeviceIsDeadWhereTheExporterSaysSo) {
  const auto region = watched(borrowed());
  ASSERT_TRUE(device_.close());
  const auto end = ours() ? RegionState::kDead : RegionState::kRevoked;
  EXPECT_TRUE(eventually([&] { return region.state() == end; })) << to_string(region.state());
  EXPECT_FALSE(region.lease());
}

TEST_F(Monitored, CompletionAloneBringsARegionBack) {
  auto region = watched(borrowed());
  EXPECT_EQ(region.report_completion(IBV_WC_REM_ACCESS_ERR, region.generation()),
            CompletionVerdict::kRevoked);
  ASSERT_TRUE(eventually([&] { return region.state() == RegionState::kLive; }));
  EXPECT_EQ(region.generation(), Generation(1));
}

TEST_F(Monitored, RegionsLiveOnACallersLoopToo) {
  Monitor loop = must(Monitor::create({.own_thread = false}));
  const auto region = must(try_make(borrowed(), {.monitor = &loop}));
  ASSERT_TRUE(device_.reset());
  EXPECT_EQ(region.state(), RegionState::kLive) << "nobody has processed anything";
  pollfd waits{.fd = loop.fd(), .events = POLLIN, .revents = 0};
  for (const auto end = Clock::now() + 20s * guest_test::time_scale();
       region.generation() == Generation(0) && Clock::now() < end;) {
    if (::poll(&waits, 1, 100) == 1) {
      ASSERT_TRUE(loop.process());
    }
  }
  EXPECT_EQ(region.state(), RegionState::kLive);
  EXPECT_GE(region.generation(), Generation(1));
  expect_usable(region, 7);
}

TEST_F(Monitored, WhatHappensComesThroughADescriptorToo) {
  EventQueue queue = must(EventQueue::create());
  int called = 0;
  auto region = must(try_make(export_bytes(0, kBytes),
                              {.on_event = [&called](const RegionEvent&) { ++called; },
                               .events = &queue,
                               .cookie = 42}));
  EXPECT_EQ(queue.read()->changes, 1u) << "live";
  ASSERT_TRUE(device_.reset());
  pollfd waits{.fd = queue.fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&waits, 1, 0), 1);
  const auto event = queue.read();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->cookie, 42u);
  EXPECT_EQ(event->state, RegionState::kLive);
  EXPECT_EQ(event->generation, Generation(1));
  EXPECT_EQ(event->changes, 3u) << "revoked, restoring, live";
  EXPECT_EQ(called, 4);
  ASSERT_TRUE(region.close());
  EXPECT_EQ(queue.read()->state, RegionState::kDead);
}

TEST_F(Monitored, RegionOutlivesItsMonitorAndIsToldNoMore) {
  auto region = [&] {
    Monitor brief = must(Monitor::create());
    return must(try_make(borrowed(), {.monitor = &brief}));
  }();
  ASSERT_TRUE(device_.reset());
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(region.generation(), Generation(0));
  region.report_completion(IBV_WC_REM_ACCESS_ERR, region.generation());
  ASSERT_TRUE(region.recover());
  expect_usable(region, 8);
}

}  // namespace
