// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/memory_events.hpp"

#include <algorithm>

namespace peermr::detail {

MemoryEvents::State MemoryEvents::subscribe(const std::shared_ptr<MemoryObserver>& observer) {
  const std::lock_guard lock(mutex_);
  // Those that have gone are dropped here, so that the list does not grow with every region made.
  std::erase_if(observers_, [](const auto& held) { return held.expired(); });
  observers_.push_back(observer);
  return state_;
}

MemoryEvents::State MemoryEvents::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

// State and list change together: an observer either is in the list that is told, or sees the new
// state when it subscribes.
MemoryEvents::Observers MemoryEvents::change_state(State state) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kGone) state_ = state;
  Observers alive;
  for (const auto& held : observers_) {
    if (auto observer = held.lock()) alive.push_back(std::move(observer));
  }
  return alive;
}

Result<void> MemoryEvents::quiesce_all() {
  const State before = state();
  const Observers observers = change_state(State::kRevoked);
  for (std::size_t i = 0; i < observers.size(); ++i) {
    auto done = observers[i]->quiesce();
    if (done) continue;
    change_state(before);
    if (before == State::kAvailable) {
      for (std::size_t told = 0; told < i; ++told) observers[told]->restore();
    }
    return done;
  }
  return {};
}

MemoryEvents::Restored MemoryEvents::restore_all() {
  Restored result;
  if (state() == State::kGone) return result;
  for (const auto& observer : change_state(State::kAvailable)) {
    ++result.observers;
    if (observer->restore()) ++result.in_use;
  }
  return result;
}

void MemoryEvents::gone_all() {
  for (const auto& observer : change_state(State::kGone)) observer->gone();
}

}  // namespace peermr::detail
