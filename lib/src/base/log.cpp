// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.hpp"

#include <atomic>
#include <cstdio>
#include <mutex>

namespace peermr {
namespace {

void write_to_stderr(LogLevel level, std::string_view message, void* /*context*/) {
  const std::string_view name = to_string(level);
  // One call per line, so that lines of several threads do not mix.
  std::fprintf(stderr, "peermr: %.*s: %.*s\n", static_cast<int>(name.size()), name.data(),
               static_cast<int>(message.size()), message.data());
}

struct Target {
  std::mutex mutex;  // protects sink and context: they change together
  LogSink sink = write_to_stderr;
  void* context = nullptr;
};

// Leaked on purpose: destructors of other statics may still log.
Target& target() {
  static Target& instance = *new Target;
  return instance;
}

std::atomic<LogLevel> g_level{LogLevel::kWarning};

}  // namespace

void set_log_sink(LogSink sink, void* context) noexcept {
  const std::lock_guard lock(target().mutex);
  target().sink = sink != nullptr ? sink : write_to_stderr;
  target().context = sink != nullptr ? context : nullptr;
}

void set_log_level(LogLevel level) noexcept {
  g_level.store(level, std::memory_order_relaxed);
}

LogLevel log_level() noexcept {
  return g_level.load(std::memory_order_relaxed);
}

std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::kTrace:
      return "trace";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "unknown";
}

void log_text(LogLevel level, std::string_view message) noexcept {
  LogSink sink = nullptr;
  void* context = nullptr;
  {
    const std::lock_guard lock(target().mutex);
    sink = target().sink;
    context = target().context;
  }
  sink(level, message, context);
}

}  // namespace peermr
