// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::tool {

/// A listening UNIX socket with a name in the file system, which it removes at its end. Only its
/// owner may connect (mode 0600). Moves.
class ListeningSocket {
 public:
  /// A socket that nobody listens on any more is replaced; anything else at `path` is left alone.
  /// Errors: std::errc::address_in_use when somebody listens, EEXIST when it is no socket, or
  /// bind's errno.
  [[nodiscard]] static Result<ListeningSocket> create(const std::string& path);

  ListeningSocket(ListeningSocket&&) noexcept = default;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  ListeningSocket(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
  dev_t device_ = 0;  // of the socket's file: somebody may have put another in its place
  ino_t inode_ = 0;
};

/// Errors: ENOENT, ECONNREFUSED and the like, with what to do.
[[nodiscard]] Result<UniqueFd> connect_unix(const std::string& path);

/// Sends the start of `data`, with `descriptor` attached when it is not negative. Does not block,
/// raises no SIGPIPE. Returns the number of bytes, or -errno.
[[nodiscard]] ssize_t send_some(int fd, std::string_view data, int descriptor);

/// Receives into `data`; a descriptor that comes along goes to `descriptor`, further ones are
/// closed. Returns the number of bytes, 0 at the end, or -errno.
[[nodiscard]] ssize_t receive_some(int fd, void* data, std::size_t bytes, UniqueFd& descriptor);

}  // namespace peermr::tool
