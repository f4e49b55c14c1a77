// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <peermr/unique_fd.hpp>

namespace revoke_test {

/// This end of a conversation with another process: single letters, and file descriptors.
class Channel {
 public:
  explicit Channel(peermr::UniqueFd socket) noexcept : socket_(std::move(socket)) {}

  /// False when the other end is gone.
  bool send(char letter, int fd = -1) const;

  struct Message {
    char letter = 0;
    peermr::UniqueFd fd;  // empty when none came along
  };
  /// Nothing when none comes in time, or the other end is gone.
  std::optional<Message> receive(std::chrono::milliseconds limit) const;

 private:
  peermr::UniqueFd socket_;
};

/// This program once more, as another process with another role, to talk to and to kill. It is
/// killed when its parent dies.
class Process {
 public:
  /// What main() finds as its only argument; it talks through inherited_channel().
  explicit Process(const char* role);
  /// Kills it if it still lives.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const Channel& channel() const { return channel_; }

  /// SIGKILL. True when it was still alive, and is gone within `limit`.
  bool kill(std::chrono::milliseconds limit);

 private:
  Process(const char* role, std::pair<peermr::UniqueFd, peermr::UniqueFd> ends);

  Channel channel_;
  pid_t pid_ = -1;
};

/// In the process that was started: its channel to its parent. Once.
Channel inherited_channel();

}  // namespace revoke_test
