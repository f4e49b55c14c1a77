// SPDX-License-Identifier: BSD-2-Clause
//
// An address space of iommufd, by raw ioctls: what a virtual machine's devices share.
#pragma once

#include <cstdint>

#include "exporter/device.hpp"

namespace exporter_test {

/// Calls return 0 or -errno where nothing else is said.
class Iommufd {
 public:
  /// The program ends when there is none.
  Iommufd();

  int fd() const { return fd_.get(); }
  std::uint32_t space() const { return space_; }

  /// `bytes` of a dma-buf from `start` on, to the IOVA. Reading is always allowed.
  int map_file(int file, std::uint64_t iova, std::uint64_t bytes, std::uint64_t start = 0,
               bool writable = true) const;
  /// Memory of this process.
  int map(const volatile void* address, std::uint64_t iova, std::uint64_t bytes,
          bool writable = true) const;
  /// Bytes that were unmapped, or -errno.
  std::int64_t unmap(std::uint64_t iova, std::uint64_t bytes) const;

 private:
  Fd fd_;
  std::uint32_t space_ = 0;
};

}  // namespace exporter_test
