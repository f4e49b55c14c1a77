// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/memory_events.hpp"

#include <algorithm>

namespace peermr::detail {

MemoryEvents::State MemoryEvents::subscribe(const std::shared_ptr<MemoryObserver>& observer,
                                            const std::shared_ptr<const MemoryPart>& part) {
  const std::lock_guard lock(mutex_);
  // Those that have gone are dropped here, so that the list does not grow with every region made.
  std::erase_if(observers_, [](const Entry& entry) { return entry.observer.expired(); });
  observers_.push_back({observer, part});
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
  for (const Entry& entry : observers_) {
    auto observer = entry.observer.lock();
    if (observer) alive.push_back({std::move(observer), entry.part && entry.part->manual_rearm});
  }
  return alive;
}

MemoryEvents::Observers MemoryEvents::users_of(const MemoryPart& part) const {
  const std::lock_guard lock(mutex_);
  Observers alive;
  for (const Entry& entry : observers_) {
    if (entry.part.get() != &part) continue;
    auto observer = entry.observer.lock();
    if (observer) alive.push_back({std::move(observer), part.manual_rearm});
  }
  return alive;
}

bool MemoryEvents::has_users(const MemoryPart& part) const {
  return !users_of(part).empty();
}

namespace {

// Tells all; when one refuses, nothing happens, and those told before (`undo`) use the memory
// again.
template <typename Observers>
Result<void> quiesce_each(const Observers& observers, bool undo) {
  for (std::size_t i = 0; i < observers.size(); ++i) {
    auto done = observers[i].observer->quiesce();
    if (done) continue;
    for (std::size_t told = 0; undo && told < i; ++told) observers[told].observer->resume();
    return done;
  }
  return {};
}

}  // namespace

Result<void> MemoryEvents::quiesce_all() {
  const State before = state();
  auto done = quiesce_each(change_state(State::kRevoked), before == State::kAvailable);
  if (!done) change_state(before);
  return done;
}

MemoryEvents::Restored MemoryEvents::restore_all() {
  return bring_all_back(&MemoryObserver::restore);
}

MemoryEvents::Restored MemoryEvents::resume_all() {
  return bring_all_back(&MemoryObserver::resume);
}

MemoryEvents::Restored MemoryEvents::bring_all_back(BringBack how) {
  Restored result;
  if (state() == State::kGone) return result;
  for (const auto& [observer, manual_rearm] : change_state(State::kAvailable)) {
    ++result.observers;
    if (!manual_rearm) result.add(((*observer).*how)());
  }
  return result;
}

void MemoryEvents::Restored::add(const Comeback& comeback) noexcept {
  if (comeback.in_use) ++in_use;
  waiting += comeback.waiting;
  in_kernel += comeback.in_kernel;
}

void MemoryEvents::gone_all() {
  for (const auto& present : change_state(State::kGone)) present.observer->gone();
}

Result<void> MemoryEvents::quiesce_part(const MemoryPart& part) {
  return quiesce_each(users_of(part), state() == State::kAvailable);
}

MemoryEvents::Restored MemoryEvents::restore_part(const MemoryPart& part) {
  return bring_part_back(part, &MemoryObserver::restore);
}

MemoryEvents::Restored MemoryEvents::resume_part(const MemoryPart& part) {
  return bring_part_back(part, &MemoryObserver::resume);
}

MemoryEvents::Restored MemoryEvents::bring_part_back(const MemoryPart& part, BringBack how) {
  Restored result;
  if (state() != State::kAvailable) return result;
  for (const auto& present : users_of(part)) {
    ++result.observers;
    result.add(((*present.observer).*how)());
  }
  return result;
}

void MemoryEvents::gone_part(const MemoryPart& part) {
  for (const auto& present : users_of(part)) present.observer->gone();
}

}  // namespace peermr::detail
