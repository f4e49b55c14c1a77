// SPDX-License-Identifier: BSD-2-Clause
//
// The memory goes for good: its device is closed, or the process that owns it dies, in the middle
// of traffic.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "revoke/fixture.hpp"
#include "revoke/process.hpp"
#include "revoke/roles.hpp"

namespace {

using namespace revoke_test;
using namespace std::chrono_literals;

/// A process that opens a device and registers memory of it.
const std::chrono::seconds kStart{20 * guest_test::time_scale()};

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
    Process victim(GetParam() ? "resetting-victim" : "victim");
    ASSERT_TRUE(victim.channel().receive(kStart)) << "cycle " << i << ": the device is not usable";
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300'000));
    const auto begin = Clock::now();
    ASSERT_TRUE(victim.kill(kDeadline)) << "cycle " << i << ": not killed, or stuck";
    longest = std::max(longest, Clock::now() - begin);
    for (const char* name : {"pnic0", "pnic1"}) {
      EXPECT_EQ(wait_for_no_objects(name), "") << "cycle " << i;
    }
  }
  std::printf("10 kills, the longest took %lld ms\n", static_cast<long long>(longest / 1ms));
}

INSTANTIATE_TEST_SUITE_P(Owner, Killed, testing::Values(false, true), [](const auto& test) {
  return test.param ? "WhileItResets" : "WhileItWrites";
});

/// Another process owns the device and has handed its buffer to this one, which nobody tells of
/// revokes.
class OwnedElsewhere : public testing::Test {
 protected:
  static peermr::DmaBuf buffer_of(const Process& owner) {
    auto ready = owner.channel().receive(kStart);
    if (!ready) give_up("the owner of the device is not ready");
    return must(peermr::DmaBuf::adopt(std::move(ready->fd), "the owner's buffer"));
  }

  static Traffic::Target target_of(const peermr::Region& region) {
    const auto keys = region.keys();
    if (!keys) give_up("the region is not live");
    return {keys->address.value(), keys->rkey.value()};
  }

  Process owner_{"owner"};
  peermr::DmaBuf buffer_ = buffer_of(owner_);
  End requester_{"LAB_NIC0"};
  End responder_{"LAB_NIC1"};
  peermr::Region region_ = must(peermr::Region::create(responder_.pd(), buffer_, {}));
};

TEST_F(OwnedElsewhere, ResetsPauseTheTrafficAllTheSame) {
  connect(requester_, responder_);
  const auto invalidations = responder_.counter("invalidate");
  Traffic traffic(requester_, target_of(region_));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
    ASSERT_TRUE(owner_.channel().send('x'));
    ASSERT_TRUE(owner_.channel().receive(kDeadline)) << "the reset is stuck";
  }
  ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
  traffic.stop();
  EXPECT_EQ(traffic.broken(), "");
  EXPECT_FALSE(traffic.first_error()) << status_of(traffic.first_error());
  EXPECT_GE(responder_.counter("invalidate") - invalidations, 10U);
  EXPECT_EQ(region_.state(), peermr::RegionState::kLive);
}

TEST_F(OwnedElsewhere, ItsDeathIsToldByACompletionAndCannotBeRecoveredFrom) {
  connect(requester_, responder_, {.rnr_retry = 6, .min_rnr_timer = 20});
  const auto keys = region_.keys().value();
  Traffic traffic(requester_, target_of(region_));
  ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
  ASSERT_TRUE(owner_.kill(kDeadline)) << "it is stuck, or was not alive";
  traffic.wait_for_error();
  EXPECT_EQ(traffic.broken(), "");
  ASSERT_EQ(status_of(traffic.first_error()), words(IBV_WC_RNR_RETRY_EXC_ERR));
  EXPECT_EQ(region_.report_completion(traffic.first_error()->status, keys.generation),
            peermr::CompletionVerdict::kRevoked);
  EXPECT_FALSE(region_.lease());
  const auto begin = Clock::now();
  const auto recovered = region_.recover(200ms);
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code(), peermr::Errc::kRevoked) << recovered.error().message();
  EXPECT_LT(Clock::now() - begin, 5s * guest_test::time_scale());
  EXPECT_TRUE(region_.close());
}

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
  const std::string role = argc == 2 ? argv[1] : "";
  if (role == "victim") return run_victim(false);
  if (role == "resetting-victim") return run_victim(true);
  if (role == "owner") return run_owner();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
