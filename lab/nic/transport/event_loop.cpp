// SPDX-License-Identifier: BSD-2-Clause
#include "event_loop.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <ctime>

namespace peermr::nic {

Result<EventLoop> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error(errno, "epoll_create1");
  return EventLoop(std::move(epoll));
}

Result<void> EventLoop::add(int fd, uint32_t events, EventHandler* handler) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return errno_error(errno, "epoll_ctl add");
  if (static_cast<size_t>(fd) >= handlers_.size())
    handlers_.resize(static_cast<size_t>(fd) + 1, nullptr);
  handlers_[static_cast<size_t>(fd)] = handler;
  return {};
}

Result<void> EventLoop::modify(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
    return errno_error(errno, "epoll_ctl modify");
  return {};
}

void EventLoop::remove(int fd) noexcept {
  if (fd < 0 || static_cast<size_t>(fd) >= handlers_.size() ||
      handlers_[static_cast<size_t>(fd)] == nullptr)
    return;
  handlers_[static_cast<size_t>(fd)] = nullptr;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

int EventLoop::wait(std::chrono::nanoseconds timeout) {
  std::array<epoll_event, 16> events;
  int count = 0;
  if (timeout.count() == 0) {
    count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  } else {
    timespec limit{};
    limit.tv_sec = timeout.count() / 1'000'000'000;
    limit.tv_nsec = timeout.count() % 1'000'000'000;
    count = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                           timeout.count() < 0 ? nullptr : &limit, nullptr);
  }
  for (int i = 0; i < count; ++i) {
    // An earlier handler of this batch may have removed this one: look it up now, not when it was
    // added.
    const auto fd = static_cast<size_t>(events[static_cast<size_t>(i)].data.fd);
    if (fd < handlers_.size() && handlers_[fd] != nullptr)
      handlers_[fd]->on_event(events[static_cast<size_t>(i)].events);
  }
  return count < 0 ? 0 : count;
}

}  // namespace peermr::nic
