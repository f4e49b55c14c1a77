// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "peermr/result.hpp"

namespace peermr::detail {

/// What became of somebody who was told that the memory is back.
struct Comeback {
  bool in_use = false;                   ///< uses it again
  std::chrono::nanoseconds waiting{};    ///< until it could be mapped
  std::chrono::nanoseconds in_kernel{};  ///< in calls that left the library, after that
};

/// Someone who uses a device's memory and must know before it goes. All functions may block and
/// must not throw; they are called by the thread that revokes, never two at once for one device.
class MemoryObserver {
 public:
  virtual ~MemoryObserver() = default;

  /// The memory will be revoked after this returns: stop using it. An error calls the revoke off.
  virtual Result<void> quiesce() = 0;
  /// The memory is back, or the revoke did not happen.
  virtual Comeback restore() = 0;
  /// As restore(), when the memory may not have been away at all: nothing that was revoked with it
  /// can be relied on to be gone.
  virtual Comeback resume() { return restore(); }
  /// The memory will never come back. Follows quiesce().
  virtual void gone() = 0;
};

/// A part of a device's memory with a fate of its own: a buffer, which its owner can take back
/// alone, or which stays away after a revoke until it is re-armed.
struct MemoryPart {
  bool manual_rearm = false;
};

/// Tells the users of a device's memory what the owner is about to do with it. Thread-safe; who
/// quiesces, restores or says that it is gone has begun a transition.
class MemoryEvents {
 public:
  enum class State { kAvailable, kRevoked, kGone };

  /// Held from before the first observer is told until after the last one: those that revoke or
  /// restore exclude each other for one device.
  [[nodiscard]] std::unique_lock<std::mutex> begin_transition() {
    return std::unique_lock(transition_);
  }

  /// From now on `observer`, who uses `part` (null: all of the memory), is told; held weakly.
  /// Returns what the memory is now: not kAvailable means that the next call, if any, is restore()
  /// or gone().
  State subscribe(const std::shared_ptr<MemoryObserver>& observer,
                  const std::shared_ptr<const MemoryPart>& part = nullptr);

  [[nodiscard]] State state() const;

  /// On an error everybody who was told is restored, and the state is as before.
  Result<void> quiesce_all();

  struct Restored {
    std::size_t observers = 0;
    std::size_t in_use = 0;                ///< of those, the ones that use it again
    std::chrono::nanoseconds waiting{};    ///< sum of Comeback::waiting
    std::chrono::nanoseconds in_kernel{};  ///< sum of Comeback::in_kernel

    void add(const Comeback& comeback) noexcept;
  };
  /// Users of parts with manual re-arm are counted, but not told: see restore_part().
  Restored restore_all();
  /// As restore_all(), when the memory may not have been away.
  Restored resume_all();

  void gone_all();

  /// Whether anybody is to be told of this part.
  [[nodiscard]] bool has_users(const MemoryPart& part) const;

  /// As the three above for the users of one part; the memory's state stays as it is.
  Result<void> quiesce_part(const MemoryPart& part);
  Restored restore_part(const MemoryPart& part);
  Restored resume_part(const MemoryPart& part);
  void gone_part(const MemoryPart& part);

 private:
  struct Entry {
    std::weak_ptr<MemoryObserver> observer;
    std::shared_ptr<const MemoryPart> part;
  };
  struct Present {
    std::shared_ptr<MemoryObserver> observer;
    bool manual_rearm;
  };
  using Observers = std::vector<Present>;
  using BringBack = Comeback (MemoryObserver::*)();
  Restored bring_all_back(BringBack how);
  Restored bring_part_back(const MemoryPart& part, BringBack how);
  Observers change_state(State state);
  [[nodiscard]] Observers users_of(const MemoryPart& part) const;

  std::mutex transition_;
  mutable std::mutex mutex_;  // protects what follows; never held while an observer is called
  std::vector<Entry> observers_;
  State state_ = State::kAvailable;
};

}  // namespace peermr::detail
