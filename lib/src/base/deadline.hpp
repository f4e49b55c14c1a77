// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>

namespace peermr {

/// `span` after `from`; never, where that is further away than the clock counts, as it is for a span
/// that means "for ever". A negative span is none. `from` is not before the clock's epoch.
template <typename Rep, typename Period>
[[nodiscard]] constexpr std::chrono::steady_clock::time_point later(
    std::chrono::steady_clock::time_point from, std::chrono::duration<Rep, Period> span) noexcept {
  using Span = std::chrono::duration<Rep, Period>;
  constexpr auto kNever = std::chrono::steady_clock::time_point::max();
  if (span <= Span::zero()) return from;
  // In the caller's unit: the longest span of a coarse one has too many nanoseconds.
  return span <= std::chrono::floor<Span>(kNever - from) ? from + span : kNever;
}

}  // namespace peermr
