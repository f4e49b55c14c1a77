// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "peermr/vfio.hpp"
#include "peermr/watch.hpp"

namespace peermr::tool {

/// "14:03:22.123", local time.
[[nodiscard]] std::string clock_text(std::chrono::system_clock::time_point time);
/// What the wall clock showed, or will show, at `time`.
[[nodiscard]] std::chrono::system_clock::time_point to_wall_clock(
    std::chrono::steady_clock::time_point time);

/// Says what changed in a buffer's life since it was asked last.
class BufferMonitor {
 public:
  explicit BufferMonitor(const vfio::BufferStatus& status) : last_(status) {}

  /// "revoked once, restored once: live (revokes 1, restores 1)"; nothing when nothing happened.
  [[nodiscard]] std::optional<std::string> changes(const vfio::BufferStatus& status);

 private:
  vfio::BufferStatus last_;
};

}  // namespace peermr::tool
