// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <memory>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::detail {

/// One descriptor that is readable when a channel, a completion queue, a change elsewhere or the
/// time calls for work.
class Waiter {
 public:
  using Clock = std::chrono::steady_clock;

  /// Errors: errno of epoll_create1(), eventfd(), timerfd_create(), epoll_ctl().
  static Result<std::unique_ptr<Waiter>> create(int channel_fd, int completion_fd);

  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }
  /// An eventfd whose count makes fd() readable until it was cleared.
  [[nodiscard]] const std::shared_ptr<UniqueFd>& bell() const noexcept { return bell_; }

  /// Before the work is done: what rang so far is heard.
  void clear() noexcept;
  /// After it: what to wait for on the channel, and until when.
  void set(short channel_events, Clock::time_point wake_at) noexcept;

 private:
  Result<void> watch(int fd, std::uint32_t events);

  UniqueFd epoll_;
  UniqueFd timer_;
  std::shared_ptr<UniqueFd> bell_;
  int channel_fd_ = -1;
  short channel_events_ = 0;
  Clock::time_point set_to_ = Clock::time_point::max();
};

}  // namespace peermr::detail
