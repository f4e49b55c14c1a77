// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>

#include "peermr/export.hpp"

// The library's own, public only because a lease is given back inline.

namespace peermr::detail {

/// Where a thread notes the read-side sections that it is in.
struct ThreadSections {
  /// Not 0 from the first section on until the last; always, when the thread has no slot of its own.
  std::atomic<std::uint64_t>* slot;
  /// Sections beyond the first; without a slot of its own, all.
  std::uint32_t counted;
};

/// Ends a section of the calling thread that was counted.
PEERMR_API void leave_counted_section() noexcept;

/// Ends a section of the thread whose sections these are, the calling one.
inline void leave_section(ThreadSections& sections) noexcept {
  if (sections.counted == 0) [[likely]] {
    sections.slot->store(0, std::memory_order_release);
  } else {
    leave_counted_section();
  }
}

}  // namespace peermr::detail
