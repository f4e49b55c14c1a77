// SPDX-License-Identifier: BSD-2-Clause
#include "connection/waiter.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace peermr::detail {
namespace {

std::uint32_t epoll_events(short events) noexcept {
  return ((events & POLLIN) != 0 ? EPOLLIN : 0u) | ((events & POLLOUT) != 0 ? EPOLLOUT : 0u);
}

}  // namespace

Result<void> Waiter::watch(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return errno_error(errno, "wait for", "connection");
}

Result<std::unique_ptr<Waiter>> Waiter::create(int channel_fd, int completion_fd) {
  auto made = std::make_unique<Waiter>();
  made->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!made->epoll_) return errno_error(errno, "epoll_create1 for", "connection");
  made->timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!made->timer_) return errno_error(errno, "timerfd_create for", "connection");
  // The first call of process() says hello to the peer: there is something to do.
  made->bell_ = std::make_shared<UniqueFd>(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!*made->bell_) return errno_error(errno, "eventfd for", "connection");
  made->channel_fd_ = channel_fd;
  made->channel_events_ = POLLIN;
  for (const int fd : {channel_fd, completion_fd, made->timer_.get(), made->bell_->get()}) {
    if (auto watched = made->watch(fd, EPOLLIN); !watched) return watched.error();
  }
  return made;
}

void Waiter::clear() noexcept {
  std::uint64_t count = 0;
  static_cast<void>(::read(bell_->get(), &count, sizeof(count)));
  static_cast<void>(::read(timer_.get(), &count, sizeof(count)));
}

void Waiter::set(short channel_events, Clock::time_point wake_at) noexcept {
  if (channel_events != channel_events_) {
    channel_events_ = channel_events;
    epoll_event event{};
    event.events = epoll_events(channel_events);
    event.data.fd = channel_fd_;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, channel_fd_, &event);
  }
  if (wake_at == set_to_) return;
  set_to_ = wake_at;
  itimerspec when{};  // all zero: never
  if (wake_at != Clock::time_point::max()) {
    const auto since = std::max<std::int64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(wake_at.time_since_epoch()).count(),
        1);
    when.it_value.tv_sec = since / 1'000'000'000;
    when.it_value.tv_nsec = since % 1'000'000'000;
  }
  // steady_clock is CLOCK_MONOTONIC here.
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace peermr::detail
