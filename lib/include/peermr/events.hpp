// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "peermr/export.hpp"
#include "peermr/region.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"

namespace peermr {

/// What became of a region since its last event was read.
struct QueuedEvent {
  std::uint64_t cookie = 0;  ///< RegionOptions::cookie
  RegionState state = RegionState::kLive;
  Generation generation;
  KeyEpoch key_epoch;
  std::uint64_t changes = 0;  ///< of the region's state; more than 1: this is the last of them
  std::string error;          ///< the last change's; empty when it is good news
};

/// Events of regions for a thread that waits for descriptors: poll, epoll, libuv, io_uring. A region
/// that changes faster than it is read has one event, its latest; none is without one.
///
/// Moves. Thread-safe but for moves and the destructor. Regions that were made with it
/// (RegionOptions::events) may outlive it.
class PEERMR_API EventQueue {
 public:
  /// Errors: errno of eventfd().
  [[nodiscard]] static Result<EventQueue> create();

  EventQueue(EventQueue&&) noexcept;
  EventQueue& operator=(EventQueue&&) noexcept;
  ~EventQueue();

  /// Borrowed; never read from it. Readable while read() has an event.
  [[nodiscard]] int fd() const noexcept;

  /// The region's event that has waited longest, or nothing. Does not block.
  [[nodiscard]] std::optional<QueuedEvent> read();

  class Core;
  [[nodiscard]] const std::shared_ptr<Core>& core() const noexcept { return core_; }

 private:
  explicit EventQueue(std::shared_ptr<Core> core) noexcept;

  std::shared_ptr<Core> core_;
};

}  // namespace peermr
