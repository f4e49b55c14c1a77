// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "peermr/dma_buf.hpp"
#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"
#include "share/protocol.hpp"

namespace peermr::tool {

/// A connection to the socket of a `peermr export`. Waiting ends early when a signal asks for the
/// end (std::errc::interrupted).
class ShareClient {
 public:
  /// Connects and receives the greeting. Errors: as connect_unix(); Errc::kMalformed when something
  /// else listens there; std::errc::timed_out.
  [[nodiscard]] static Result<ShareClient> connect(const std::string& path);

  [[nodiscard]] const Greeting& greeting() const noexcept { return greeting_; }

  /// The buffer that came with the greeting, once. Errors: as DmaBuf::adopt().
  [[nodiscard]] Result<DmaBuf> take_buffer();

  /// Asks, and waits for the answer; without a limit for as long as it takes. Errors: what the
  /// owner answered; Errc::kMalformed; std::errc::timed_out; std::errc::connection_reset when it
  /// has gone.
  [[nodiscard]] Result<nlohmann::json> ask(const Request& request,
                                           std::optional<std::chrono::milliseconds> limit);

 private:
  ShareClient(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<std::string> receive_line(std::optional<std::chrono::milliseconds> limit);

  UniqueFd fd_;
  std::string path_;
  UniqueFd buffer_;
  std::string in_;
  Greeting greeting_;
};

/// A dma-buf of another process: "PID/FD", or the path of a socket of `peermr export`.
/// Errors: those of pidfd_getfd() (EPERM: it takes the right to trace the process), or of
/// ShareClient.
[[nodiscard]] Result<DmaBuf> take_buffer_from(const std::string& source);

}  // namespace peermr::tool
