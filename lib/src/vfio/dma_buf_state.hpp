// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "peermr/bdf.hpp"
#include "peermr/unique_fd.hpp"
#include "vfio/memory_events.hpp"

namespace peermr::detail {

/// What the handles to a dma-buf, and the regions made from it, share. Immutable.
struct DmaBufState {
  UniqueFd fd;
  std::uint64_t size_bytes = 0;
  std::optional<Bdf> exporter;
  std::string name;
  std::shared_ptr<MemoryEvents> events;  ///< null when adopted: nobody tells
  std::shared_ptr<MemoryPart> part;      ///< this buffer, to `events`
};

}  // namespace peermr::detail
