// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "peermr/events.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr {

class EventQueue::Core : public std::enable_shared_from_this<EventQueue::Core> {
 public:
  explicit Core(UniqueFd readable) : readable_(std::move(readable)) {}

  /// For RegionOptions::on_event of one region, whose events `next` gets too (may be empty).
  [[nodiscard]] std::function<void(const RegionEvent&)> listener(
      std::uint64_t cookie, std::function<void(const RegionEvent&)> next);

  [[nodiscard]] int fd() const noexcept { return readable_.get(); }
  std::optional<QueuedEvent> read();

 private:
  struct Slot {
    QueuedEvent event;  // waits for its reader while changes is not 0
  };
  void tell(const std::shared_ptr<Slot>& slot, const RegionEvent& event);

  const UniqueFd readable_;  // eventfd: not 0 while waiting_ is not empty

  std::mutex mutex_;  // protects what follows, and the slots
  std::deque<std::shared_ptr<Slot>> waiting_;
};

}  // namespace peermr
