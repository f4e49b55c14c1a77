// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr {

/// The application's own way to its peer, beside RDMA: small messages, reliable and in order. Who
/// has a way already (a TCP session, gRPC, MPI, a message bus) implements these functions on it.
///
/// Used by one thread at a time. Nothing blocks.
class PEERMR_API OutOfBand {
 public:
  /// No message is longer.
  static constexpr std::size_t kMaxMessageBytes = 256;

  OutOfBand() = default;
  OutOfBand(const OutOfBand&) = delete;
  OutOfBand& operator=(const OutOfBand&) = delete;
  virtual ~OutOfBand();

  /// Takes a message, of 1 to kMaxMessageBytes; it may leave later, by flush(). An error is for
  /// good: the peer is gone, or has not read for so long that no more is kept for it.
  virtual Result<void> send(std::span<const std::byte> message) = 0;

  /// The next message, or nothing for now. An error is for good: the peer is gone (ECONNRESET), or
  /// has sent what no peer would send.
  [[nodiscard]] virtual Result<std::optional<std::vector<std::byte>>> receive() = 0;

  /// Goes on sending what send() took.
  virtual Result<void> flush() = 0;

  /// For poll(2). Borrowed, and the same for the channel's life.
  [[nodiscard]] virtual int fd() const noexcept = 0;
  /// What to wait for on it: POLLIN, and POLLOUT while flush() has something to do.
  [[nodiscard]] virtual short events() const noexcept = 0;
};

struct StreamChannelOptions {
  /// What is kept for a peer that does not read.
  std::size_t max_backlog_bytes = 64 << 10;
  /// A peer that has begun a message must finish it within this time.
  std::chrono::nanoseconds message_limit = std::chrono::seconds(5);
};

/// An OutOfBand on a connected stream socket: TCP, UNIX. Each message is preceded by its length, 4
/// bytes, big-endian (docs/connection.md).
class PEERMR_API StreamChannel final : public OutOfBand {
 public:
  /// Takes the socket and makes it non-blocking.
  /// Errors: std::errc::not_a_socket; std::errc::invalid_argument: not a stream socket, or not
  /// connected; errno of fcntl().
  [[nodiscard]] static Result<std::unique_ptr<StreamChannel>> adopt(
      UniqueFd socket, const StreamChannelOptions& options = {});

  ~StreamChannel() override;

  /// Errors: std::errc::message_size, std::errc::no_buffer_space (the peer does not read),
  /// ECONNRESET, errno of send().
  Result<void> send(std::span<const std::byte> message) override;
  /// Errors: ECONNRESET, ETIMEDOUT (it stopped within a message), Errc::kMalformed, errno of
  /// recv().
  [[nodiscard]] Result<std::optional<std::vector<std::byte>>> receive() override;
  Result<void> flush() override;
  [[nodiscard]] int fd() const noexcept override;
  [[nodiscard]] short events() const noexcept override;

 private:
  class Impl;
  explicit StreamChannel(std::unique_ptr<Impl> impl) noexcept;

  std::unique_ptr<Impl> impl_;
};

/// The next message, waiting for it until `deadline`: for handshakes of the application's own.
/// Errors: ETIMEDOUT; those of the channel.
[[nodiscard]] PEERMR_API Result<std::vector<std::byte>> receive_until(
    OutOfBand& channel, std::chrono::steady_clock::time_point deadline);

}  // namespace peermr
