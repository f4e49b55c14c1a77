// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::nic {

/// The memory behind a BAR, shared with the client, who maps it: a sealed memfd, which a client
/// cannot shrink. Sparse: what nobody has written costs nothing. Single-threaded on this side.
class MemoryBar {
 public:
  /// `size_bytes` is a multiple of the page size. Errors: what memfd_create(2), ftruncate(2) and
  /// fcntl(2) report.
  static Result<MemoryBar> create(uint64_t size_bytes);

  uint64_t size_bytes() const noexcept { return size_bytes_; }
  int fd() const noexcept { return fd_.get(); }

  /// Zeroes everything, under the eyes of who has it mapped. Takes as long as giving back what was
  /// in use does. Errors: what fallocate(2) reports.
  Result<void> clear();

  /// For accesses that come as messages; the range lies inside. Return 0 or an errno value (ENOMEM,
  /// ENOSPC: this machine has no memory left).
  int read(uint64_t offset, std::span<std::byte> out) const noexcept;
  int write(uint64_t offset, std::span<const std::byte> data) noexcept;

 private:
  MemoryBar(UniqueFd fd, uint64_t size_bytes) : fd_(std::move(fd)), size_bytes_(size_bytes) {}

  // Not mapped here: a mapping could be the place where this process learns that memory is short.
  UniqueFd fd_;
  uint64_t size_bytes_;
};

}  // namespace peermr::nic
