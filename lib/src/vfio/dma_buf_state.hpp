// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "peermr/bdf.hpp"
#include "peermr/unique_fd.hpp"
#include "vfio/memory_events.hpp"

namespace peermr::vfio {
class BufferSource;
}

namespace peermr::detail {

/// Which file a descriptor is of: two of one dma-buf have the same, and two dma-bufs never while
/// both are open.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  friend auto operator<=>(const FileId&, const FileId&) = default;
};

/// Of an open descriptor.
[[nodiscard]] FileId file_id(const UniqueFd& fd) noexcept;

/// What the handles to a dma-buf, and the regions made from it, share. Immutable.
struct DmaBufState {
  UniqueFd fd;
  FileId file;
  std::uint64_t size_bytes = 0;
  std::optional<Bdf> exporter;
  std::string name;
  std::shared_ptr<MemoryEvents> events;  ///< null when adopted: nobody tells
  std::shared_ptr<MemoryPart> part;      ///< this buffer, to `events`
  /// More buffers of the same memory; null where the exporter does not make them on the library's
  /// terms.
  std::shared_ptr<const vfio::BufferSource> source;
};

}  // namespace peermr::detail
