// SPDX-License-Identifier: BSD-2-Clause
//
// The owner resets its device while a peer writes into the device's memory without a pause.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "revoke/fixture.hpp"

namespace {

using namespace revoke_test;
using peermr::RegionState;

constexpr int kResets = 50;
// Resets between two looks at all of the memory.
constexpr int kResetsPerRound = 5;

class ResetUnderTraffic : public RevokeTest {
 protected:
  /// Resets the device; the region must be live when that returns, one generation on, with the
  /// same key.
  void reset(const peermr::Region& region) {
    const auto before = region.keys();
    ASSERT_TRUE(before);
    const auto report = owner_.device().reset();
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->regions, 1U);
    EXPECT_EQ(report->restored, 1U);
    EXPECT_EQ(region.state(), RegionState::kLive);
    auto expected = *before;
    expected.generation = peermr::Generation(before->generation.value() + 1);
    EXPECT_EQ(region.keys(), expected);
    if (owner_.pmr_enabled()) ++pmr_survived_;
    owner_.enable_pmr();
    longest_reset_ = std::max(longest_reset_, report->reset);
    longest_restore_ = std::max(longest_restore_, report->restore);
  }

  void wait_a_moment() {
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % 20'000));
  }

  static long long ms(std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  }

  std::mt19937 random_ = make_random();
  int pmr_survived_ = 0;
  std::chrono::nanoseconds longest_reset_{};
  std::chrono::nanoseconds longest_restore_{};
};

TEST_F(ResetUnderTraffic, PausesTheWritesOfAStockPeerAndLosesNone) {
  const auto region = region_at(responder_);
  const auto naks = responder_.counter("rnr_nak_tx");
  const auto faults = responder_.counter("mr_fault");
  const auto invalidations = responder_.counter("invalidate");
  std::unique_ptr<Traffic> traffic;
  std::chrono::milliseconds longest{};
  std::uint64_t writes = 0;
  for (int i = 0; i < kResets; ++i) {
    if (i % kResetsPerRound == 0) {
      traffic = std::make_unique<Traffic>(requester_, target_of(region), traffic.get());
      ASSERT_TRUE(traffic->wait_for(Traffic::kSlots)) << traffic->broken();
    }
    wait_a_moment();
    ASSERT_NO_FATAL_FAILURE(reset(region));
    ASSERT_TRUE(traffic->wait_for(2 * Traffic::kSlots))
        << "no traffic after reset " << i << ": " << traffic->broken()
        << status_of(traffic->first_error());
    if (i % kResetsPerRound == kResetsPerRound - 1) {
      traffic->stop();
      ASSERT_EQ(traffic->broken(), "");
      ASSERT_FALSE(traffic->first_error()) << status_of(traffic->first_error());
      ASSERT_EQ(traffic->verify(owner_.memory()), "");
      longest = std::max(longest, traffic->longest_wait());
      writes += traffic->done();
    }
  }
  traffic.reset();
  verified_write(region, 1);
  // It was the revoke that paused them, each time, and the fence that made it safe.
  const auto rnr = responder_.counter("rnr_nak_tx") - naks;
  EXPECT_GE(rnr, static_cast<unsigned>(kResets));
  EXPECT_GE(responder_.counter("mr_fault") - faults, static_cast<unsigned>(kResets));
  EXPECT_GE(responder_.counter("invalidate") - invalidations, static_cast<unsigned>(kResets));
  std::printf("%d resets (PMR still enabled after %d), %llu writes, %llu RNR NAKs\n", kResets,
              pmr_survived_, static_cast<unsigned long long>(writes),
              static_cast<unsigned long long>(rnr));
  std::printf("longest: wait of a write %lld ms, reset %lld ms, restore %lld ms\n", ms(longest),
              ms(longest_reset_), ms(longest_restore_));
}

TEST_F(ResetUnderTraffic, FailsTheWritesOfAPeerThatDoesNotWaitWithRnrRetryExceeded) {
  auto region = region_at(responder_);
  std::unique_ptr<Traffic> traffic;
  for (int i = 0; i < 10; ++i) {
    // 6 retries of 10.24 ms (timer code 20): enough to be faulted in again, and less than the 100
    // ms that a function takes for its reset at least.
    connect(requester_, responder_, {.rnr_retry = 6, .min_rnr_timer = 20});
    traffic = std::make_unique<Traffic>(requester_, target_of(region), traffic.get());
    ASSERT_TRUE(traffic->wait_for(2 * Traffic::kSlots)) << traffic->broken();
    const auto posted_in = region.generation();
    wait_a_moment();
    ASSERT_NO_FATAL_FAILURE(reset(region));
    traffic->wait_for_error();
    EXPECT_EQ(traffic->broken(), "");
    ASSERT_EQ(status_of(traffic->first_error()), words(IBV_WC_RNR_RETRY_EXC_ERR));
    EXPECT_LT(traffic->flushed(), Traffic::kSlots);
    EXPECT_EQ(traffic->verify(owner_.memory()), "");
    // An application that asks what the error means hears that the memory is back.
    EXPECT_EQ(region.report_completion(traffic->first_error()->status, posted_in),
              peermr::CompletionVerdict::kStale);
    EXPECT_EQ(region.state(), RegionState::kLive);
  }
  connect(requester_, responder_);
  verified_write(region, 2);
}

TEST_F(ResetUnderTraffic, LetsWorkRequestsOnLeasedLocalKeysWaitAndSucceed) {
  constexpr std::uint32_t kBytes = 16 * 1024;
  const auto remote = region_at(responder_);
  verified_write(remote, 3);
  const auto region = region_at(requester_);
  HostMemory target(responder_, kBytes);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> done{0};
  std::uint64_t refused = 0;
  std::string problem;
  std::thread consumer([&] {
    while (!stop && problem.empty()) {
      std::fill(target.data(), target.data() + kBytes, std::uint8_t{0});
      if (const auto lease = region.lease()) {
        post(requester_, {.local = lease->address.value(),
                          .lkey = lease->lkey.value(),
                          .remote = target.address(),
                          .rkey = target.rkey(),
                          .bytes = kBytes});
      } else {
        ++refused;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      const auto wc = requester_.poll();
      if (!wc || wc->status != IBV_WC_SUCCESS) problem = status_of(wc);
      for (std::size_t i = 0; i < kBytes && problem.empty(); ++i) {
        if (target.data()[i] != static_cast<std::uint8_t>(3 + i * 7 + i / 256))
          problem = "wrong data at " + std::to_string(i);
      }
      ++done;
    }
  });
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t before = done;
    wait_a_moment();
    const auto report = owner_.device().reset();
    EXPECT_TRUE(report && report->restored == 2);
    owner_.enable_pmr();
    const auto deadline = Clock::now() + kDeadline;
    while (done < before + 4 && Clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_GE(done, before + 4) << "nothing goes on after reset " << i;
  }
  stop = true;
  consumer.join();
  EXPECT_EQ(problem, "");
  EXPECT_GT(refused, 0U) << "no lease was refused: nobody was told of a revoke";
  EXPECT_EQ(region.generation(), peermr::Generation(20));
}

TEST_F(ResetUnderTraffic, WouldNotHideALostWriteFromTheseTests) {
  const auto region = region_at(responder_);
  Traffic traffic(requester_, target_of(region));
  ASSERT_TRUE(traffic.wait_for(2 * Traffic::kSlots)) << traffic.broken();
  traffic.stop();
  ASSERT_EQ(traffic.verify(owner_.memory()), "");
  std::vector<std::uint8_t> copy(owner_.memory(), owner_.memory() + Traffic::kBytes);
  copy.back() ^= 1;
  EXPECT_NE(traffic.verify(copy.data()), "");
}

TEST_F(ResetUnderTraffic, TellsTheOwnerOfEachStepOnce) {
  std::mutex mutex;
  std::vector<std::pair<RegionState, std::uint64_t>> steps;
  peermr::RegionOptions options;
  options.on_event = [&](const peermr::RegionEvent& event) {
    const std::lock_guard lock(mutex);
    steps.emplace_back(event.state, event.generation.value());
  };
  auto region = region_at(responder_, options);
  Traffic traffic(requester_, target_of(region));
  ASSERT_TRUE(traffic.wait_for(Traffic::kSlots));
  ASSERT_NO_FATAL_FAILURE(reset(region));
  traffic.stop();
  EXPECT_EQ(traffic.broken(), "");
  ASSERT_TRUE(region.close());
  const std::vector<std::pair<RegionState, std::uint64_t>> expected = {{RegionState::kLive, 0},
                                                                       {RegionState::kRevoked, 0},
                                                                       {RegionState::kRestoring, 0},
                                                                       {RegionState::kLive, 1},
                                                                       {RegionState::kDead, 1}};
  EXPECT_EQ(steps, expected);
}

}  // namespace
