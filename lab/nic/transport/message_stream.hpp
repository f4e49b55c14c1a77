// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

#include "peermr/unique_fd.hpp"
#include "protocol.hpp"

namespace peermr::nic {

/// One received message. `payload` stays valid until the next call of MessageStream::receive().
struct Message {
  vfio_user::Header header;
  std::span<const std::byte> payload;
  std::vector<UniqueFd> fds;
};

enum class ReceiveStatus {
  kMessage,    // a whole message is there
  kAgain,      // not yet
  kClosed,     // the peer is gone
  kViolation,  // the stream cannot be trusted any more: close it
};

/// Frames vfio-user messages on a connected, non-blocking UNIX stream socket, and pairs every file
/// descriptor with the message whose bytes carried it. Never blocks, in either direction.
/// Single-threaded.
class MessageStream {
 public:
  /// `socket` must be non-blocking.
  explicit MessageStream(UniqueFd socket);

  /// Reads until a message is complete or the socket is empty. The stream never reads past the end
  /// of a message: a descriptor sent along with the next message cannot be taken for this one's.
  ReceiveStatus receive(Message& message);

  /// Sends a message made of a header, two pieces of payload and borrowed descriptors; sets the
  /// header's size. What the socket does not take at once is queued. False when the connection is
  /// broken or its peer does not read: close it.
  [[nodiscard]] bool send(vfio_user::Header header, std::span<const std::byte> first,
                          std::span<const std::byte> second = {}, std::span<const int> fds = {});

  /// Sends what is queued. False as for send().
  [[nodiscard]] bool flush();

  /// True while flush() has something to do once the socket is writable.
  bool has_queued() const noexcept { return !queue_.empty(); }

  int fd() const noexcept { return socket_.get(); }

 private:
  struct Queued {
    std::vector<std::byte> bytes;
    size_t sent = 0;
    std::vector<UniqueFd> fds;
  };

  ReceiveStatus read_some(size_t want);
  long send_now(std::span<const std::byte> bytes, std::span<const int> fds);

  UniqueFd socket_;
  std::vector<std::byte> buffer_;
  size_t have_ = 0;
  std::vector<UniqueFd> fds_;
  std::deque<Queued> queue_;
  size_t queued_bytes_ = 0;
  std::vector<std::byte> scratch_;
};

}  // namespace peermr::nic
