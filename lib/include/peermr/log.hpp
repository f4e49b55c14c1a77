// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string_view>

#include "peermr/export.hpp"

namespace peermr {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError, kOff };

/// Receives one message, without a newline. May be called from any thread, several at once, and
/// must not throw or call back into the library.
using LogSink = void (*)(LogLevel level, std::string_view message, void* context);

/// Where messages go from now on; null restores the default, which writes lines to standard error.
/// `context` is handed to the sink and must outlive its use. Thread-safe, but a message that is on
/// its way may still reach the old sink.
PEERMR_API void set_log_sink(LogSink sink, void* context = nullptr) noexcept;

/// Messages below `level` are dropped. The default is kWarning. Thread-safe.
PEERMR_API void set_log_level(LogLevel level) noexcept;
[[nodiscard]] PEERMR_API LogLevel log_level() noexcept;

/// "trace", "debug", "info", "warning", "error", "off".
[[nodiscard]] PEERMR_API std::string_view to_string(LogLevel level) noexcept;

}  // namespace peermr
