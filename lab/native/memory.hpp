// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "adoption.hpp"
#include "client.hpp"

namespace peermr::native {

inline constexpr size_t kPage = 4096;

/// A part of a file with a place in the device's address space. The device sees it while it has
/// pins.
struct Chunk {
  std::shared_ptr<MemoryFile> file;
  uint64_t offset = 0;  // in the file
  uint64_t size_bytes = 0;
  uint64_t iova = 0;
  bool writeable = true;
  int pins = 0;
};

/// A part of a chunk, whole pages.
struct Piece {
  std::shared_ptr<Chunk> chunk;
  uint64_t offset = 0;  // in the chunk
  uint64_t size_bytes = 0;
};

/// Memory that the device may reach until it is unpinned, in order of addresses.
using Pinned = std::vector<Piece>;

/// Makes memory of the process reachable for the device, which wants a file for all of it.
///
/// Private memory is *adopted*: copied to an anonymous file that is then mapped, shared, at the same
/// address. What the double cannot do as a kernel would:
///  - without userfaultfd, another thread that writes to pages while they are adopted loses what it
///    wrote;
///  - after fork(2) parent and child share adopted pages;
///  - growing an adopted block in place (mremap, as realloc does with large blocks) gives pages
///    without memory behind them.
///
/// Not thread-safe: the device's lock serialises calls. Functions return 0 or an errno value.
class Memory {
 public:
  explicit Memory(Client& client) : client_(client) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Pins the pages of [address, address + length). EFAULT: not mapped, not writeable though
  /// `write` asks for it, or of a kind that has no file and can't get one.
  int pin(uintptr_t address, size_t length, bool write, Pinned& out);

  /// Pins `size_bytes` at `offset` (whole pages) of a file; duplicates `fd`.
  int pin_file(int fd, uint64_t offset, uint64_t size_bytes, bool write, Pinned& out);

  void unpin(Pinned& pinned);

  /// The IOVA of every page.
  static std::vector<uint64_t> page_addresses(const Pinned& pinned);

 private:
  friend class DriverBuffer;

  int cover(const Mapping& mapping, uintptr_t start, uintptr_t end, Piece& out);
  int pin_mappings(uintptr_t start, uintptr_t end, bool write, Pinned& out);
  int pin_range(std::shared_ptr<MemoryFile> file, uint64_t offset, uint64_t size_bytes,
                bool writeable, Piece& out);

  Client& client_;
  std::list<std::shared_ptr<Chunk>> chunks_;  // those with pins
  uint64_t next_iova_ = uint64_t{1} << 32;
};

/// Anonymous memory of the double's own that the device reaches at `iova()`.
class DriverBuffer {
 public:
  /// Zeroed, rounded up to whole pages. Null when there is no memory or the device refuses the map.
  static std::unique_ptr<DriverBuffer> create(Memory& memory, size_t bytes);
  ~DriverBuffer();
  DriverBuffer(const DriverBuffer&) = delete;
  DriverBuffer& operator=(const DriverBuffer&) = delete;

  std::byte* data() const noexcept { return data_; }
  size_t size_bytes() const noexcept { return size_bytes_; }
  uint64_t iova() const noexcept {
    return pinned_.front().chunk->iova + pinned_.front().offset;
  }

 private:
  explicit DriverBuffer(Memory& memory) : memory_(memory) {}

  Memory& memory_;
  Pinned pinned_;
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace peermr::native
