// SPDX-License-Identifier: BSD-2-Clause
//
// Memory decode is turned off, which revokes for as long as the owner likes: what waits, what
// fails, how long, and what is needed to go on.

#include <chrono>
#include <cstdio>
#include <thread>

#include "revoke/fixture.hpp"

namespace {

using namespace revoke_test;
using namespace std::chrono_literals;
using peermr::CompletionVerdict;
using peermr::RegionState;

constexpr std::uint32_t kBytes = 64 * 1024;

class DecodeOff : public RevokeTest {
 protected:
  void off(const peermr::Region& region) {
    ASSERT_TRUE(owner_.device().set_memory_enabled(false));
    EXPECT_EQ(region.state(), RegionState::kRevoked);
    EXPECT_FALSE(region.keys());
    EXPECT_FALSE(region.lease());
  }

  void on(const peermr::Region& region, const peermr::RegionKeys& before) {
    ASSERT_TRUE(owner_.device().set_memory_enabled(true));
    EXPECT_EQ(region.state(), RegionState::kLive);
    auto expected = before;
    expected.generation = peermr::Generation(before.generation.value() + 1);
    EXPECT_EQ(region.keys(), expected) << "the same key, one generation on";
  }

  Rdma into(const peermr::RegionKeys& keys) {
    return {.local = host_.address(),
            .lkey = host_.lkey(),
            .remote = keys.address.value(),
            .rkey = keys.rkey.value(),
            .bytes = kBytes};
  }

  /// A WRITE out of the region, whose key is the requester's own.
  Rdma out_of(const peermr::RegionKeys& keys) {
    return {.local = keys.address.value(),
            .lkey = keys.lkey.value(),
            .remote = far_host_.address(),
            .rkey = far_host_.rkey(),
            .bytes = kBytes};
  }

  HostMemory host_{requester_, kBytes};
  HostMemory far_host_{responder_, kBytes};
};

TEST_F(DecodeOff, WritesWaitAndGoOnWithTheSameKey) {
  const auto region = region_at(responder_);
  const auto naks = responder_.counter("rnr_nak_tx");
  Traffic traffic(requester_, target_of(region));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
    const auto keys = region.keys().value();
    ASSERT_NO_FATAL_FAILURE(off(region));
    const auto done = traffic.done();
    std::this_thread::sleep_for(200ms);
    // What the NIC had taken before the revoke may complete after it.
    EXPECT_LE(traffic.done(), done + Traffic::kSlots) << "writes go on into revoked memory";
    ASSERT_NO_FATAL_FAILURE(on(region, keys));
  }
  ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
  traffic.stop();
  EXPECT_EQ(traffic.broken(), "");
  EXPECT_FALSE(traffic.first_error()) << status_of(traffic.first_error());
  EXPECT_EQ(traffic.verify(owner_.memory()), "");
  EXPECT_GE(responder_.counter("rnr_nak_tx") - naks, 5U);
}

TEST_F(DecodeOff, ReadsWaitToo) {
  const auto region = region_at(responder_);
  verified_write(region, 5);
  const auto keys = region.keys().value();
  ASSERT_NO_FATAL_FAILURE(off(region));
  Rdma read = into(keys);
  read.opcode = IBV_WR_RDMA_READ;
  post(requester_, read);
  EXPECT_FALSE(requester_.poll(200ms));
  ASSERT_NO_FATAL_FAILURE(on(region, keys));
  ASSERT_EQ(status_of(requester_.poll()), words(IBV_WC_SUCCESS));
  for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(host_.data()[i], owner_.memory()[i]) << i;
}

TEST_F(DecodeOff, AWriteWithAFiniteRnrRetryFailsWhenItsPatienceEnds) {
  auto region = region_at(responder_);
  // 6 retries of 40.96 ms (timer code 24).
  connect(requester_, responder_, {.rnr_retry = 6, .min_rnr_timer = 24});
  const auto keys = region.keys().value();
  ASSERT_NO_FATAL_FAILURE(off(region));
  const auto begin = Clock::now();
  const auto wc = execute(requester_, into(keys));
  const auto waited = Clock::now() - begin;
  EXPECT_EQ(status_of(wc), words(IBV_WC_RNR_RETRY_EXC_ERR));
  EXPECT_GE(waited, 6 * 40ms);
  EXPECT_LT(waited, 5s * guest_test::time_scale());
  EXPECT_EQ(region.report_completion(wc->status, keys.generation), CompletionVerdict::kRevoked);
  // The connection is in error: what follows is flushed.
  EXPECT_EQ(status_of(execute(requester_, into(keys))), words(IBV_WC_WR_FLUSH_ERR));
  ASSERT_NO_FATAL_FAILURE(on(region, keys));
  EXPECT_EQ(region.report_completion(wc->status, keys.generation), CompletionVerdict::kStale);
  connect(requester_, responder_);
  verified_write(region, 6);
  std::printf("6 RNR retries of 40.96 ms: failed after %lld ms\n",
              static_cast<long long>(waited / 1ms));
}

TEST_F(DecodeOff, AWriteFromRevokedMemoryWaitsAndSucceedsWhenItIsBack) {
  const auto far = region_at(responder_);
  verified_write(far, 7);
  const auto region = region_at(requester_);
  const auto keys = region.keys().value();
  const auto faults = requester_.counter("mr_fault");
  ASSERT_NO_FATAL_FAILURE(off(region));
  post(requester_, out_of(keys));
  EXPECT_FALSE(requester_.poll(500ms));
  ASSERT_NO_FATAL_FAILURE(on(region, keys));
  ASSERT_EQ(status_of(requester_.poll()), words(IBV_WC_SUCCESS));
  EXPECT_GT(requester_.counter("mr_fault"), faults);
  for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(far_host_.data()[i], owner_.memory()[i]) << i;
}

TEST_F(DecodeOff, AWriteFromRevokedMemoryFailsAfterTheFaultTimeout) {
  auto region = region_at(requester_);
  const auto far = region_at(responder_);
  const auto keys = region.keys().value();
  const auto timeouts = requester_.counter("mr_fault_timeout");
  ASSERT_NO_FATAL_FAILURE(off(region));
  const auto begin = Clock::now();
  const auto wc = execute(requester_, out_of(keys));
  const auto waited = Clock::now() - begin;
  EXPECT_EQ(status_of(wc), words(IBV_WC_LOC_PROT_ERR));
  // The device's fault_timeout_ms is 2000.
  EXPECT_GE(waited, 1900ms);
  EXPECT_LT(waited, 6s);
  EXPECT_EQ(requester_.counter("mr_fault_timeout"), timeouts + 1);
  EXPECT_EQ(region.report_completion(wc->status, keys.generation), CompletionVerdict::kRevoked);
  ASSERT_NO_FATAL_FAILURE(on(region, keys));
  connect(requester_, responder_);
  EXPECT_EQ(status_of(execute(requester_, out_of(keys))), words(IBV_WC_SUCCESS));
  verified_write(far, 8);
  std::printf("fault timeout of the requester's own key: failed after %lld ms, vendor error %u\n",
              static_cast<long long>(waited / 1ms), wc->vendor_err);
}

TEST_F(DecodeOff, PolicyFailMakesTheRegionDeadAndItsKeyUnknown) {
  peermr::RegionOptions options;
  options.on_revoke = peermr::RevokePolicy::kFail;
  const auto region = region_at(responder_, options);
  const auto keys = region.keys().value();
  ASSERT_TRUE(owner_.device().set_memory_enabled(false));
  EXPECT_EQ(region.state(), RegionState::kDead);
  ASSERT_TRUE(owner_.device().set_memory_enabled(true));
  EXPECT_EQ(region.state(), RegionState::kDead);
  EXPECT_EQ(status_of(execute(requester_, into(keys))), words(IBV_WC_REM_ACCESS_ERR));
}

TEST_F(DecodeOff, PolicyHandOverLeavesTheRecoveryToTheApplication) {
  peermr::RegionOptions options;
  options.on_revoke = peermr::RevokePolicy::kHandOver;
  auto region = region_at(responder_, options);
  const auto keys = region.keys().value();
  ASSERT_NO_FATAL_FAILURE(off(region));
  const auto early = region.recover(50ms);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), peermr::Errc::kRevoked);
  ASSERT_TRUE(owner_.device().set_memory_enabled(true));
  EXPECT_FALSE(region.keys());
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.keys().value().rkey, keys.rkey);
  EXPECT_EQ(region.generation().value(), keys.generation.value() + 1);
  verified_write(region, 9);
}

}  // namespace
