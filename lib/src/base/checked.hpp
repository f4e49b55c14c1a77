// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <concepts>
#include <optional>

namespace peermr {

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) noexcept {
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) noexcept {
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// Whether [offset, offset + length) lies in [0, size). Cannot wrap. An empty range may lie at the
/// very end.
template <std::unsigned_integral T>
[[nodiscard]] constexpr bool range_in(T offset, T length, T size) noexcept {
  return offset <= size && length <= size - offset;
}

/// `alignment` is a power of two.
template <std::unsigned_integral T>
[[nodiscard]] constexpr bool is_aligned(T value, T alignment) noexcept {
  return (value & (alignment - 1)) == 0;
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr T align_down(T value, T alignment) noexcept {
  return value & ~(alignment - 1);
}

/// Nothing when the result does not fit.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> align_up(T value, T alignment) noexcept {
  const auto sum = checked_add(value, static_cast<T>(alignment - 1));
  if (!sum) return std::nullopt;
  return align_down(*sum, alignment);
}

}  // namespace peermr
