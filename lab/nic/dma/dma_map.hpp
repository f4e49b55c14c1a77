// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "file_mapping.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::nic {

/// Where a bus address leads.
struct Translation {
  enum class Kind : uint8_t {
    kUnmapped,  // nowhere
    kHost,      // memory of this process
    kRemote,    // memory that only the client can reach, by messages
  };
  Kind kind = Kind::kUnmapped;
  bool writable = false;
  std::byte* host = nullptr;  // with kHost only
  uint64_t length = 0;  // bytes from the address on that have these properties; 0 with kUnmapped
};

/// The IOMMU's view of a device: bus addresses (IOVAs) and the client's memory behind them.
/// Single-threaded; nothing blocks or throws but for memory.
///
/// A translation is good until generation() changes: that is, until a range is unmapped. Ranges
/// that are added never change what was there.
class DmaMap {
 public:
  static constexpr size_t kMaxRanges = 65535;

  /// Maps [iova, iova + size) to [offset, offset + size) of the file `fd`, or to memory behind the
  /// client when `fd` is empty. `readable` and `writable` are what the device may do; memory that
  /// isn't readable is refused. Returns 0 or an errno value: EINVAL for an empty, wrapping or
  /// unaligned range, or a range outside of the file; EEXIST for an overlap with an existing range;
  /// ENOSPC at kMaxRanges; EACCES, ENOMEM and others from the file.
  int map(uint64_t iova, uint64_t size, uint64_t offset, bool readable, bool writable,
          const UniqueFd& fd);

  /// Unmaps all ranges that lie within [iova, iova + size). No such range: nothing happens, as in
  /// VFIO; VMMs flush whole address spaces. Returns 0, or EINVAL if the range is empty, wraps, or
  /// would cut a mapped range in two.
  int unmap(uint64_t iova, uint64_t size);

  /// Unmaps everything.
  void clear() noexcept;

  /// Where `iova` leads, and how far in one piece: neighbouring ranges that lead on without a gap
  /// count as one piece, up to `want` bytes.
  Translation translate(uint64_t iova, uint64_t want) const noexcept;

  /// Changes with each unmap; never 0.
  uint64_t generation() const noexcept { return generation_; }

  /// The client has truncated a file that it gave to us.
  bool poisoned() const { return files_.any_poisoned(); }

  size_t range_count() const noexcept { return ranges_.size(); }

 private:
  struct Range {
    uint64_t last;  // inclusive, so that a range may end at the very top
    bool writable;
    std::byte* host;  // null: remote
    std::shared_ptr<FileMapping> file;
  };

  std::map<uint64_t, Range> ranges_;  // by first address
  FileMappingCache files_;
  uint64_t generation_ = 1;
};

}  // namespace peermr::nic
