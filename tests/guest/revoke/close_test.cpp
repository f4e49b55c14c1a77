// SPDX-License-Identifier: BSD-2-Clause
//
// The memory goes for good: its device is closed, or the process that owns it dies, in the middle
// of traffic.

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "revoke/fixture.hpp"
#include "revoke/victim.hpp"

namespace {

using namespace revoke_test;
using namespace std::chrono_literals;

class Close : public RevokeTest {};

TEST_F(Close, OfTheDeviceFailsWritesThroughARegionWithRemoteAccessError) {
  auto region = region_at(responder_);
  const auto target = target_of(region);
  Traffic traffic(requester_, target);
  ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
  const auto begin = Clock::now();
  ASSERT_TRUE(owner_.device().close());
  EXPECT_LT(Clock::now() - begin, kDeadline);
  traffic.wait_for_error();
  EXPECT_EQ(traffic.broken(), "");
  EXPECT_EQ(status_of(traffic.first_error()), words(IBV_WC_REM_ACCESS_ERR));
  EXPECT_EQ(region.state(), peermr::RegionState::kDead);
  EXPECT_FALSE(region.keys());
  const auto recovered = region.recover();
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code(), peermr::Errc::kDead);
  EXPECT_TRUE(region.close());
}

TEST_F(Close, OfTheDeviceUnderAPlainMrMakesWritesWaitAndThenFail) {
  // Without the library's region nobody deregisters, and the exporter does not tell "for now" from
  // "for good": the peer's patience ends it.
  std::unique_ptr<ibv_mr, Destroyer<ibv_dereg_mr>> mr(
      ibv_reg_dmabuf_mr(responder_.pd(), 0, PmrOwner::kBytes, 0, buffer_.fd(),
                        IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  connect(requester_, responder_, {.rnr_retry = 6, .min_rnr_timer = 20});
  Traffic traffic(requester_, {.address = 0, .rkey = mr->rkey});
  ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
  // The kernel closes the device when its last mapping is gone.
  owner_.unmap();
  ASSERT_TRUE(owner_.device().close());
  traffic.wait_for_error();
  EXPECT_EQ(traffic.broken(), "");
  EXPECT_EQ(status_of(traffic.first_error()), words(IBV_WC_RNR_RETRY_EXC_ERR));
  const std::uint32_t rkey = mr->rkey;
  EXPECT_EQ(ibv_dereg_mr(mr.release()), 0);
  HostMemory host(requester_, 4096);
  connect(requester_, responder_);
  EXPECT_EQ(status_of(execute(requester_, {.local = host.address(),
                                           .lkey = host.lkey(),
                                           .remote = 0,
                                           .rkey = rkey,
                                           .bytes = 4096})),
            words(IBV_WC_REM_ACCESS_ERR));
}

TEST_F(Close, OfARegionUnderTrafficIsRemoteAccessErrorAndTheMemoryCanBeUsedAgain) {
  for (int i = 0; i < 10; ++i) {
    connect(requester_, responder_);
    auto region = region_at(responder_);
    Traffic traffic(requester_, target_of(region));
    ASSERT_TRUE(traffic.wait_for(Traffic::kSlots)) << traffic.broken();
    ASSERT_TRUE(region.close());
    traffic.wait_for_error();
    EXPECT_EQ(traffic.broken(), "");
    EXPECT_EQ(status_of(traffic.first_error()), words(IBV_WC_REM_ACCESS_ERR));
  }
  connect(requester_, responder_);
  const auto region = region_at(responder_);
  verified_write(region, 4);
}

/// No device is open in this process while another one has it and dies.
class Killed : public testing::TestWithParam<bool> {};

TEST_P(Killed, InTheMiddleOfTrafficLeavesNothingBehind) {
  std::mt19937 random = make_random();
  std::chrono::nanoseconds longest{};
  for (int i = 0; i < 10; ++i) {
    Victim victim(GetParam());
    ASSERT_TRUE(victim.wait_until_ready(20s)) << "cycle " << i << ": the device is not usable";
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300'000));
    const auto begin = Clock::now();
    ASSERT_TRUE(victim.kill(10s)) << "cycle " << i << ": not killed, or stuck";
    longest = std::max(longest, Clock::now() - begin);
    for (const char* name : {"pnic0", "pnic1"}) {
      EXPECT_EQ(wait_for_no_objects(name), "") << "cycle " << i;
    }
  }
  std::printf("10 kills, the longest took %lld ms\n", static_cast<long long>(longest / 1ms));
}

INSTANTIATE_TEST_SUITE_P(Process, Killed, testing::Values(false, true), [](const auto& test) {
  return test.param ? "WhileItResets" : "WhileItWrites";
});

class AfterKills : public RevokeTest {};

TEST_F(AfterKills, TheDeviceWorks) {
  const auto region = region_at(responder_);
  verified_write(region, 5);
  ASSERT_TRUE(owner_.device().reset());
  owner_.enable_pmr();
  verified_write(region, 6);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--victim") == 0) return run_victim(false);
  if (argc == 2 && std::strcmp(argv[1], "--victim-resets") == 0) return run_victim(true);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
