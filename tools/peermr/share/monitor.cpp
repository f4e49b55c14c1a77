// SPDX-License-Identifier: BSD-2-Clause
#include "share/monitor.hpp"

#include <fmt/core.h>

#include <ctime>

namespace peermr::tool {
namespace {

std::string times(std::uint64_t count) {
  return count == 1 ? "once" : fmt::format("{} times", count);
}

}  // namespace

std::string clock_text(std::chrono::system_clock::time_point time) {
  const auto since_epoch = time.time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count() % 1000;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", local.tm_hour, local.tm_min, local.tm_sec, ms);
}

std::chrono::system_clock::time_point to_wall_clock(std::chrono::steady_clock::time_point time) {
  const auto ago = std::chrono::steady_clock::now() - time;
  return std::chrono::system_clock::now() -
         std::chrono::duration_cast<std::chrono::system_clock::duration>(ago);
}

std::optional<std::string> BufferMonitor::changes(const vfio::BufferStatus& status) {
  std::string text;
  if (status.revokes != last_.revokes) {
    text = fmt::format("revoked {}", times(status.revokes - last_.revokes));
  }
  if (status.restores != last_.restores) {
    if (!text.empty()) text += ", ";
    text += fmt::format("restored {}", times(status.restores - last_.restores));
  }
  const bool waits = status.waiting && !last_.waiting;
  const bool changed = !text.empty() || status.state != last_.state || waits;
  last_ = status;
  if (!changed) return std::nullopt;
  if (!text.empty()) text += ": ";
  text += fmt::format("{} (revokes {}, restores {})", to_string(status.state), status.revokes,
                      status.restores);
  if (waits) text += ", waiting for an importer";
  return text;
}

}  // namespace peermr::tool
