// SPDX-License-Identifier: BSD-2-Clause
//
// What a region makes of what its monitor tells it: revokes and restores that others have done.
#include <algorithm>

#include "base/deadline.hpp"
#include "base/log.hpp"
#include "region/region_core.hpp"

namespace peermr::detail {

using Clock = std::chrono::steady_clock;

std::chrono::nanoseconds RegionCore::in_kernel() const noexcept {
  return registrar_->in_kernel() + counting_.total();
}

std::uint64_t RegionCore::count_invalidates() {
  if (!source_) return 0;
  const auto status = counting_.of([this] { return source_->status(); });
  if (status) return status->total;
  log(LogLevel::kWarning, "{}", status.error().message());
  return 0;
}

Result<void> RegionCore::lose_memory_to_others() {
  if (state_ != RegionState::kLive) return {};
  ++revokes_;
  changed_.notify_all();
  return lose_memory();
}

void RegionCore::invalidated(std::uint64_t total) {
  // Who has it may be waiting for the kernel, and other regions for this news. look() comes next.
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock || !made_ || state_ == RegionState::kDead || owner_acts_ || total <= seen_) return;
  key_is_dead_ = true;
  if (const auto lost = lose_memory_to_others(); !lost) {
    log(LogLevel::kWarning, "{}", lost.error().message());
  }
}

std::optional<Clock::time_point> RegionCore::look() {
  const Lock lock(mutex_);
  // What is invalidated before the region is made is counted there.
  if (!made_ || state_ == RegionState::kDead || owner_acts_) return std::nullopt;
  const auto status = source_->status();
  if (!status) {
    log(LogLevel::kWarning, "{}", status.error().message());
    return std::nullopt;
  }
  if (published_.load() != nullptr && status->total == seen_) return std::nullopt;
  if (status->total != seen_) key_is_dead_ = true;

  Result<void> lost;
  if (status->state == WatchState::kDead) {
    lost = die();
  } else {
    lost = lose_memory_to_others();
  }
  if (!lost) log(LogLevel::kWarning, "{}", lost.error().message());
  if (state_ == RegionState::kDead || config_.on_revoke == RevokePolicy::kHandOver) {
    return std::nullopt;
  }
  if (!attempts_ || attempts_->invalidates != status->total) {
    attempts_ = Attempts{.invalidates = status->total,
                         .deadline = later(Clock::now(), config_.back_off.limit),
                         .pause = config_.back_off.first};
  }
  // Held until its owner re-arms it, which is news.
  if (attempts_->over || status->state == WatchState::kHeld) return std::nullopt;
  return attempt();
}

std::optional<Clock::time_point> RegionCore::attempt() {
  change_state(RegionState::kRestoring);
  const auto done = try_once();
  if (done) return std::nullopt;
  const auto now = Clock::now();
  if (!worth_another_attempt(done.error()) || now + attempts_->pause > attempts_->deadline) {
    attempts_->over = true;
    change_state(RegionState::kRevoked, &done.error());
    return std::nullopt;
  }
  const auto next = now + attempts_->pause;
  attempts_->pause = std::min(attempts_->pause * 2, config_.back_off.ceiling);
  return next;
}

}  // namespace peermr::detail
