// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace peermr::nic {

/// Objects by small numbers. A number returns as late as it can: a handle that a driver kept too
/// long should not name somebody else's object. Single-threaded.
template <typename T>
class HandleTable {
 public:
  HandleTable(uint32_t first, uint32_t limit) : first_(first), limit_(limit) {}

  bool full() const noexcept { return count_ >= limit_; }

  /// The number that the next put() will use; not to be called when full().
  uint32_t next() {
    for (;;) {
      if (cursor_ >= slots_.size() && slots_.size() < limit_) slots_.emplace_back();
      if (cursor_ >= slots_.size()) cursor_ = 0;
      if (slots_[cursor_] == nullptr) return first_ + static_cast<uint32_t>(cursor_);
      ++cursor_;
    }
  }

  /// Stores an object under the number that next() gave.
  T* put(uint32_t handle, std::unique_ptr<T> object) {
    T* raw = object.get();
    slots_[handle - first_] = std::move(object);
    ++count_;
    ++cursor_;
    live_.push_back(raw);
    return raw;
  }

  T* find(uint32_t handle) const noexcept {
    const uint64_t index = uint64_t{handle} - first_;
    return handle >= first_ && index < slots_.size() ? slots_[index].get() : nullptr;
  }

  void remove(uint32_t handle) {
    T* raw = find(handle);
    if (raw == nullptr) return;
    std::erase(live_, raw);
    slots_[handle - first_].reset();
    --count_;
  }

  void clear() noexcept {
    live_.clear();
    slots_.clear();
    count_ = 0;
    cursor_ = 0;
  }

  /// All objects, in the order of their creation.
  const std::vector<T*>& live() const noexcept { return live_; }

 private:
  uint32_t first_;
  uint32_t limit_;
  size_t count_ = 0;
  size_t cursor_ = 0;
  std::vector<std::unique_ptr<T>> slots_;
  std::vector<T*> live_;
};

}  // namespace peermr::nic
