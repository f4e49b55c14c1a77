// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "bench/socket_address.hpp"
#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::tool {

/// Version of the messages; each carries it, and another one is refused.
inline constexpr int kChannelVersion = 1;

/// Two processes of `peermr bench` talking: one JSON object a line, with the members "version" and
/// "type". Whatever comes in is checked before it is believed. Moves; not thread-safe. Every wait
/// ends by a message, the time limit, a signal or the peer's end.
class Channel {
 public:
  explicit Channel(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  /// Errors: connect's errno, naming the address.
  [[nodiscard]] static Result<Channel> connect(const SocketAddress& address);

  /// Adds the version. Errors: the errno of sending.
  Result<void> send(std::string_view type, nlohmann::json message = nlohmann::json::object());

  /// The next message. Errors: std::errc::timed_out, std::errc::interrupted,
  /// std::errc::connection_aborted when the peer is gone, Errc::kMalformed.
  [[nodiscard]] Result<nlohmann::json> receive(std::chrono::milliseconds limit);

 private:
  Result<void> fill(std::chrono::steady_clock::time_point end);

  UniqueFd fd_;
  std::string buffer_;
};

/// A listening socket that takes one peer. Moves; removes its unix socket from the file system.
class Listener {
 public:
  /// Errors: the errno of binding, naming the address.
  [[nodiscard]] static Result<Listener> open(const SocketAddress& address);
  Listener(Listener&& other) noexcept
      : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  /// Waits until somebody connects or a signal comes (std::errc::interrupted).
  [[nodiscard]] Result<Channel> accept();
  /// What was bound, with the port that the kernel chose for port 0.
  [[nodiscard]] std::string local_name() const;

 private:
  Listener(UniqueFd fd, std::string path) noexcept : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
};

}  // namespace peermr::tool
