// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "peermr/unique_fd.hpp"

namespace peermr::native {

/// A file from which an application reads events: the completion channels and the asynchronous event
/// file of uverbs. A pair of sockets that keeps records apart, so that poll(2), O_NONBLOCK and
/// blocking reads behave as they do with the kernel's. Callers serialise send() and drop().
class EventFile {
 public:
  /// Null when the process has no descriptors left.
  static std::unique_ptr<EventFile> create();

  /// The application's end. It closes that one.
  int user_fd() const noexcept { return user_fd_; }

  /// Queues a record. False when the reader has let too many pile up: the event is lost, and logged.
  bool send(std::span<const std::byte> record);

  /// Takes back records that nobody has read yet: those that `matches` accepts. Returns how many.
  size_t drop(size_t record_bytes, const std::function<bool(const void*)>& matches);

 private:
  UniqueFd ours_;
  UniqueFd theirs_;  // a duplicate of the application's end
  int user_fd_ = -1;
};

}  // namespace peermr::native
