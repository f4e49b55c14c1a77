// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "peermr/unique_fd.hpp"
#include "vfio_client.hpp"

namespace peermr::test {

/// A guest's memory: a memfd, mapped here, that clients give to their devices at a bus address. A
/// bump allocator hands out page-aligned pieces and never takes them back. Throws when memory is
/// short.
class GuestMemory {
 public:
  static constexpr uint64_t kBus = 0x7'0000'0000;

  explicit GuestMemory(size_t bytes);
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  /// Gives all of it to a device, readable and writable. Throws if the device refuses.
  void map_into(VfioClient& client) const;

  /// Zeroed memory; returns its bus address.
  uint64_t alloc(size_t bytes, size_t alignment = 4096);

  std::byte* at(uint64_t bus) const { return memory_ + (bus - kBus); }
  template <typename T>
  T* as(uint64_t bus) const {
    return reinterpret_cast<T*>(at(bus));
  }
  std::span<std::byte> span(uint64_t bus, size_t bytes) const { return {at(bus), bytes}; }

  int fd() const { return fd_.get(); }
  size_t size() const { return size_; }

 private:
  UniqueFd fd_;
  size_t size_;
  std::byte* memory_;
  size_t used_ = 0;
};

/// Fills memory with bytes that depend on a seed and the position; checks them.
void fill_pattern(std::span<std::byte> memory, uint32_t seed);
bool has_pattern(std::span<const std::byte> memory, uint32_t seed);

}  // namespace peermr::test
