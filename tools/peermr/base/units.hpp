// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "peermr/result.hpp"

namespace peermr::tool {

inline constexpr double kMib = 1024.0 * 1024.0;

/// A number of bytes: decimal or 0x-hexadecimal, with an optional K, M, G or T (powers of 1024,
/// either case, "KiB" and "KB" too). Errors: Errc::kMalformed; std::errc::result_out_of_range when
/// it needs more than 64 bits.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);

/// A list of sizes separated by commas. Each is at least 1. Errors: as parse_bytes.
[[nodiscard]] Result<std::vector<std::uint64_t>> parse_sizes(std::string_view text);

/// "4 KiB", "1 MiB", "1000 B": the largest unit that needs no fraction.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// As format_bytes, in the form that parse_bytes reads: "4K".
[[nodiscard]] std::string format_bytes_short(std::uint64_t bytes);

/// A time: a number with ms, s, m or h; without, seconds. At least 1 ms and at most a year. Errors:
/// Errc::kMalformed.
[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "250 ms", "30 s", "1.5 s".
[[nodiscard]] std::string format_duration(std::chrono::nanoseconds time);

/// Three significant digits or all before the point: "4310", "87.2", "0.123".
[[nodiscard]] std::string format_figure(double value);

}  // namespace peermr::tool
