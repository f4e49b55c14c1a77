// SPDX-License-Identifier: BSD-2-Clause
#include "memory_options.hpp"

#include <bit>
#include <cerrno>
#include <charconv>
#include <optional>

#include "base/checked.hpp"

namespace peermr::nic {

namespace {

constexpr std::string_view kOperation = "memory device";
constexpr uint64_t kMinBytes = 4096;
constexpr uint64_t kMaxBytes = uint64_t{1} << 40;

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.empty()) return number;
  constexpr std::string_view kUnits = "KMGT";
  const size_t power = kUnits.find(unit);
  if (unit.size() != 1 || power == std::string_view::npos) return std::nullopt;
  return checked_mul(number, uint64_t{1} << (10 * (power + 1)));
}

}  // namespace

Result<MemoryDeviceOptions> parse_memory_device(std::string_view text) {
  MemoryDeviceOptions options;
  const auto next = [&text] {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    return part;
  };
  const std::string whole(text);
  options.socket = next();
  if (options.socket.empty()) return errno_error(EINVAL, kOperation, whole, "no path");
  while (!text.empty()) {
    const std::string_view part = next();
    if (part == "volatile") {
      options.keeps_memory = false;
    } else if (part.starts_with("size=")) {
      const auto size = parse_size(part.substr(5));
      if (!size || !std::has_single_bit(*size) || *size < kMinBytes || *size > kMaxBytes)
        return errno_error(EINVAL, kOperation, whole,
                           "the size must be a power of two from 4K to 1T");
      options.size_bytes = *size;
    } else {
      return errno_error(EINVAL, kOperation, whole,
                         "only size=SIZE and volatile may follow a path");
    }
  }
  return options;
}

}  // namespace peermr::nic
