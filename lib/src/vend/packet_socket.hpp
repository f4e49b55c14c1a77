// SPDX-License-Identifier: BSD-2-Clause
//
// UNIX sockets that keep packets apart (SOCK_SEQPACKET).
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::vend {

/// Who is at the other end, as the kernel saw it when it connected (SO_PEERCRED).
struct Peer {
  UniqueFd fd;  ///< does not block
  pid_t pid = 0;
  uid_t uid = 0;
};

/// A listening socket with a name in the file system, which it removes at its end. Moves.
class PacketListener {
 public:
  struct Options {
    std::string path;
    mode_t mode = 0600;
    std::optional<gid_t> group = {};
  };

  /// A socket that nobody listens on any more is replaced; anything else at the path is left alone.
  /// Errors: std::errc::address_in_use when somebody listens, EEXIST when it is no socket,
  /// std::errc::filename_too_long, or the errno of bind(), chown(), chmod().
  [[nodiscard]] static Result<PacketListener> create(const Options& options);

  PacketListener(PacketListener&&) noexcept = default;
  PacketListener& operator=(PacketListener&&) = delete;
  ~PacketListener();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// The next peer; none when nobody waits. Errors: accept's errno (EMFILE and the like).
  [[nodiscard]] Result<std::optional<Peer>> accept() const;

 private:
  PacketListener(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
  dev_t device_ = 0;  // of the socket's file: somebody may have put another in its place
  ino_t inode_ = 0;
};

/// Waits up to `limit` for room in the listener's queue. Errors: ENOENT, ECONNREFUSED and the like,
/// with what to do; EPROTOTYPE when it is a socket of another kind; EAGAIN when there was no room.
[[nodiscard]] Result<UniqueFd> connect_packets(
    const std::string& path, std::chrono::milliseconds limit = std::chrono::seconds(10));

/// Sends one packet, with `descriptor` attached when it is not negative. Does not block, raises no
/// SIGPIPE. Returns 0 or an errno value.
[[nodiscard]] int send_packet(int fd, std::span<const std::byte> packet, int descriptor = -1);

struct Received {
  int error_number = 0;      ///< EAGAIN: nothing there
  std::size_t bytes = 0;     ///< 0: the end
  bool overlong = false;     ///< the packet was longer than the room for it
  bool descriptors = false;  ///< some came along that nobody wants, and were closed
};

/// Receives one packet, without blocking. A descriptor that comes along goes to `descriptor`; when
/// that is null it is closed, as are all but the last.
[[nodiscard]] Received receive_packet(int fd, std::span<std::byte> room,
                                      UniqueFd* descriptor = nullptr);

}  // namespace peermr::vend
