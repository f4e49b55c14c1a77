// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "peermr/log.hpp"

namespace peermr {

/// True when a message of this level would reach the sink: for messages that are costly to make.
[[nodiscard]] inline bool log_enabled(LogLevel level) noexcept {
  return level >= log_level();
}

/// Hands a finished message to the sink. Never throws.
void log_text(LogLevel level, std::string_view message) noexcept;

/// Formats and logs. Formatting that fails (out of memory) is dropped: logging must not be the
/// reason that something else fails.
template <typename... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) noexcept {
  if (!log_enabled(level)) return;
  try {
    log_text(level, fmt::format(format, std::forward<Args>(args)...));
  } catch (...) {
    log_text(level, "(message lost: out of memory)");
  }
}

}  // namespace peermr
