// SPDX-License-Identifier: BSD-2-Clause
//
// Continuous writes into memory that may be taken away, and the proof that none was lost.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "revoke/link.hpp"

namespace revoke_test {

/// Writes without a pause, `kSlots` in flight, from a thread of its own, until it is stopped or a
/// write fails. Each write fills one slot of the target with a pattern of its own; no two in flight
/// have the same slot. Every write must complete once, in order, within kDeadline.
///
/// A stock peer: it has an rkey, and hears nothing of revokes but what its completions say.
class Traffic {
 public:
  static constexpr std::uint32_t kSlots = 16;
  static constexpr std::uint32_t kSlotBytes = 16 * 1024;
  static constexpr std::uint64_t kBytes = std::uint64_t{kSlots} * kSlotBytes;

  struct Target {
    std::uint64_t address = 0;
    std::uint32_t rkey = 0;
  };

  /// `end` is connected; nobody else uses it meanwhile. Patterns go on from those of `before`.
  Traffic(End& end, Target target, const Traffic* before = nullptr);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  /// Waits until a write has failed and all of them are over, at most kDeadline, then as stop().
  void wait_for_error();
  /// Posts no more and waits for what is in flight. What follows is for afterwards.
  void stop();

  /// Writes that have completed well so far. Any time.
  std::uint64_t done() const { return done_; }
  /// Waits until `more` writes have completed well; false when they don't in time, or a write has
  /// failed. Any time.
  bool wait_for(std::uint64_t more);

  /// The first completion that wasn't a success.
  const std::optional<ibv_wc>& first_error() const { return first_error_; }
  /// From the error on: how many were flushed.
  std::uint64_t flushed() const { return flushed_; }
  /// The longest that a completion has been waited for.
  std::chrono::milliseconds longest_wait() const;
  /// What no error of a work request may lead to: a write stuck, completed twice, out of order, or
  /// flushed before the error. Empty: nothing of that.
  const std::string& broken() const { return broken_; }

  /// Compares every slot whose last write was acknowledged with that write's pattern. Returns what
  /// is wrong, or nothing.
  std::string verify(const std::uint8_t* target) const;

 private:
  struct Flight {
    std::uint64_t number;
    Clock::time_point posted;
  };
  enum class Content : std::uint8_t { kUntouched, kAcknowledged, kUnknown };
  struct Slot {
    Content content = Content::kUntouched;
    std::uint64_t number = 0;  // of the write that was acknowledged last
  };

  void run();
  void post_next();
  void complete(const ibv_wc& wc);

  End& end_;
  const Target target_;
  HostMemory source_;
  std::uint64_t next_ = 1;
  std::deque<Flight> flights_;
  std::array<Slot, kSlots> slots_{};
  std::optional<ibv_wc> first_error_;
  std::uint64_t flushed_ = 0;
  Clock::duration longest_wait_{};
  Clock::time_point last_completion_ = Clock::now();
  std::string broken_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace revoke_test
