// SPDX-License-Identifier: BSD-2-Clause
#include "region/event_queue.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace peermr {

std::function<void(const RegionEvent&)> EventQueue::Core::listener(
    std::uint64_t cookie, std::function<void(const RegionEvent&)> next) {
  auto slot = std::make_shared<Slot>();
  slot->event.cookie = cookie;
  return [core = shared_from_this(), slot = std::move(slot),
          next = std::move(next)](const RegionEvent& event) {
    core->tell(slot, event);
    if (next) next(event);
  };
}

void EventQueue::Core::tell(const std::shared_ptr<Slot>& slot, const RegionEvent& event) {
  const std::lock_guard lock(mutex_);
  QueuedEvent& queued = slot->event;
  queued.state = event.state;
  queued.generation = event.generation;
  queued.key_epoch = event.key_epoch;
  queued.error = event.error != nullptr ? event.error->message() : std::string();
  if (queued.changes++ != 0) return;
  waiting_.push_back(slot);
  if (waiting_.size() != 1) return;
  const std::uint64_t one = 1;
  static_cast<void>(::write(readable_.get(), &one, sizeof(one)));
}

std::optional<QueuedEvent> EventQueue::Core::read() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return std::nullopt;
  QueuedEvent& queued = waiting_.front()->event;
  std::optional<QueuedEvent> result(queued);
  queued.changes = 0;
  waiting_.pop_front();
  if (waiting_.empty()) {
    std::uint64_t count = 0;
    static_cast<void>(::read(readable_.get(), &count, sizeof(count)));
  }
  return result;
}

Result<EventQueue> EventQueue::create() {
  UniqueFd readable(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!readable) return errno_error(errno, "make event queue");
  return EventQueue(std::make_shared<Core>(std::move(readable)));
}

EventQueue::EventQueue(std::shared_ptr<Core> core) noexcept : core_(std::move(core)) {}
EventQueue::EventQueue(EventQueue&&) noexcept = default;
EventQueue& EventQueue::operator=(EventQueue&&) noexcept = default;
EventQueue::~EventQueue() = default;

int EventQueue::fd() const noexcept {
  return core_->fd();
}

std::optional<QueuedEvent> EventQueue::read() {
  return core_->read();
}

}  // namespace peermr
