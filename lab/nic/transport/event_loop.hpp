// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::nic {

/// Something that wants to know when its file descriptor becomes ready.
class EventHandler {
 public:
  virtual ~EventHandler() = default;

  /// Called on the loop's thread. `events` is a set of EPOLL* bits. May add and remove any handler,
  /// its own included.
  virtual void on_event(uint32_t events) = 0;
};

/// A thin wrapper of epoll: file descriptors, their handlers, and one bounded wait.
/// Single-threaded.
class EventLoop {
 public:
  /// Errors: what epoll_create1 reports.
  static Result<EventLoop> create();

  /// Watches `fd` (borrowed: remove it before closing it) for `events`; `handler` must outlive the
  /// registration. Errors: what epoll_ctl reports.
  Result<void> add(int fd, uint32_t events, EventHandler* handler);

  /// Changes the events of a watched descriptor. Errors: what epoll_ctl reports.
  Result<void> modify(int fd, uint32_t events);

  /// Stops watching; unknown descriptors are ignored.
  void remove(int fd) noexcept;

  /// Waits at most `timeout` (zero: does not block; negative: no limit), then calls the handlers of
  /// what is ready. Returns the number of events handled; an interrupted wait counts as zero
  /// events.
  int wait(std::chrono::nanoseconds timeout);

 private:
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}

  UniqueFd epoll_;
  std::vector<EventHandler*> handlers_;  // by file descriptor
};

}  // namespace peermr::nic
