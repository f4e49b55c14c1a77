// SPDX-License-Identifier: BSD-2-Clause
//
// Another process that accesses memory, maps and revokes on request.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "exporter/device.hpp"

namespace exporter_test {

/// A fork of this process: it has our mappings and descriptors as they are now. Fork it before
/// there are threads.
class Child {
 public:
  Child();
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// try_read() there.
  std::optional<std::uint32_t> read(const volatile std::uint32_t* at) const;
  /// try_write() there.
  bool write(volatile std::uint32_t* at, std::uint32_t value) const;
  /// Sends the descriptor over a socket and maps it there, for reading and writing: the address
  /// there, or the errno.
  std::pair<volatile std::uint32_t*, int> map(int fd, std::size_t bytes) const;
  /// Sends both over a socket and revokes the buffer for good there. 0 or -errno.
  int revoke(int device, int dmabuf) const;
  /// Closes its copy of the descriptor.
  void close(int fd) const;

 private:
  enum class What : std::uint32_t { kRead, kWrite, kMap, kRevoke, kClose };
  struct Request {
    What what;
    std::uint32_t value;
    std::uint64_t address, bytes;
  };
  struct Answer {
    std::int64_t result;  // negative: -errno
    std::uint64_t value;
  };
  Answer ask(const Request& request, const std::vector<int>& fds = {}) const;
  static void serve(int socket);
  static Answer answer(const Request& request, std::vector<int>& fds);

  int socket_ = -1;
  pid_t pid_ = -1;
};

}  // namespace exporter_test
