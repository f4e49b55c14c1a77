// SPDX-License-Identifier: BSD-2-Clause
#include "base/units.hpp"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace peermr::tool {
namespace {

constexpr std::array<std::pair<char, unsigned>, 4> kUnits = {
    {{'t', 40}, {'g', 30}, {'m', 20}, {'k', 10}}};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// The power of two that a suffix stands for; nothing when it stands for none.
Result<unsigned> suffix_shift(std::string_view suffix, std::string_view whole) {
  if (suffix.empty() || suffix == "B") return 0u;
  for (auto [letter, shift] : kUnits) {
    if (lower(suffix.front()) != letter) continue;
    std::string_view rest = suffix.substr(1);
    if (rest.empty() || rest == "iB" || rest == "B") return shift;
  }
  return make_error(Errc::kMalformed, "parse size", whole,
                    "expected a number with an optional K, M, G or T");
}

std::pair<std::uint64_t, unsigned> whole_units(std::uint64_t bytes) {
  for (unsigned i = 0; i < kUnits.size(); ++i) {
    const unsigned shift = kUnits[i].second;
    if (bytes != 0 && (bytes & ((std::uint64_t{1} << shift) - 1)) == 0) return {bytes >> shift, i};
  }
  return {bytes, static_cast<unsigned>(kUnits.size())};
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  std::string_view digits = text;
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    digits.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  auto [stop, status] = std::from_chars(digits.data(), end, value, base);
  if (status == std::errc::result_out_of_range) {
    return make_error(std::errc::result_out_of_range, "parse size", text);
  }
  if (status != std::errc{}) {
    return make_error(Errc::kMalformed, "parse size", text,
                      "expected a number with an optional K, M, G or T");
  }
  auto shift = suffix_shift({stop, static_cast<std::size_t>(end - stop)}, text);
  if (!shift) return std::move(shift).error();
  if (value > std::numeric_limits<std::uint64_t>::max() >> *shift) {
    return make_error(std::errc::result_out_of_range, "parse size", text);
  }
  return value << *shift;
}

Result<std::vector<std::uint64_t>> parse_sizes(std::string_view text) {
  std::vector<std::uint64_t> sizes;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    auto size = parse_bytes(rest.substr(0, comma));
    if (!size) return std::move(size).error();
    if (*size == 0) return make_error(Errc::kMalformed, "parse size", text, "a size is at least 1");
    sizes.push_back(*size);
    if (comma == std::string_view::npos) return sizes;
    rest.remove_prefix(comma + 1);
  }
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kNames = {"TiB", "GiB", "MiB", "KiB", "B"};
  auto [value, unit] = whole_units(bytes);
  return fmt::format("{} {}", value, kNames[unit]);
}

std::string format_bytes_short(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kNames = {"T", "G", "M", "K", ""};
  auto [value, unit] = whole_units(bytes);
  return fmt::format("{}{}", value, kNames[unit]);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 5> kTimes = {
      {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}}};
  constexpr std::uint64_t kYearMs = std::uint64_t{365} * 24 * 3600 * 1000;
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
  for (const auto& [name, ms] : kTimes) {
    if (status != std::errc{} || unit != name || value == 0 || value > kYearMs / ms) continue;
    return std::chrono::milliseconds(value * ms);
  }
  return make_error(Errc::kMalformed, "parse time", text,
                    "expected a number with an optional ms, s, m or h, not 0 and at most a year");
}

std::string format_duration(std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  if (seconds >= 1) return fmt::format("{:.4g} s", seconds);
  return fmt::format("{:.3g} ms", seconds * 1000);
}

std::string format_figure(double value) {
  if (value >= 100) return fmt::format("{:.0f}", value);
  if (value >= 10) return fmt::format("{:.1f}", value);
  if (value >= 1) return fmt::format("{:.2f}", value);
  return fmt::format("{:.3f}", value);
}

}  // namespace peermr::tool
