// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "peermr/result.hpp"

namespace peermr::detail {

/// Someone who uses a device's memory and must know before it goes. All functions may block and
/// must not throw; they are called by the thread that revokes, never two at once for one device.
class MemoryObserver {
 public:
  virtual ~MemoryObserver() = default;

  /// The memory will be revoked after this returns: stop using it. An error calls the revoke off.
  virtual Result<void> quiesce() = 0;
  /// The memory is back, or the revoke did not happen. True when in use again.
  virtual bool restore() = 0;
  /// The memory will never come back. Follows quiesce().
  virtual void gone() = 0;
};

/// Tells the users of a device's memory what the owner is about to do with it. Thread-safe; the
/// owner serialises its own calls (quiesce_all, restore_all, gone_all).
class MemoryEvents {
 public:
  enum class State { kAvailable, kRevoked, kGone };

  /// From now on `observer` is told; held weakly. Returns what the memory is now: not kAvailable
  /// means that the next call, if any, is restore() or gone().
  State subscribe(const std::shared_ptr<MemoryObserver>& observer);

  [[nodiscard]] State state() const;

  /// On an error everybody who was told is restored, and the state is as before.
  Result<void> quiesce_all();

  struct Restored {
    std::size_t observers = 0;
    std::size_t in_use = 0;  ///< of those, the ones whose restore() returned true
  };
  Restored restore_all();

  void gone_all();

 private:
  using Observers = std::vector<std::shared_ptr<MemoryObserver>>;
  Observers change_state(State state);

  mutable std::mutex mutex_;  // protects what follows; never held while an observer is called
  std::vector<std::weak_ptr<MemoryObserver>> observers_;
  State state_ = State::kAvailable;
};

}  // namespace peermr::detail
