// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "peermr/result.hpp"

namespace peermr::detail {

/// Writes big-endian integers one after the other into bytes that are known to suffice.
class WireWriter {
 public:
  explicit WireWriter(std::span<std::byte> to) noexcept : to_(to) {}

  template <std::unsigned_integral T>
  WireWriter& put(T value) noexcept {
    for (std::size_t i = sizeof(T); i-- > 0;) {
      to_[at_++] = static_cast<std::byte>(value >> (8 * i) & 0xff);
    }
    return *this;
  }
  [[nodiscard]] std::size_t size() const noexcept { return at_; }

 private:
  std::span<std::byte> to_;
  std::size_t at_ = 0;
};

/// Reads them. The caller has checked the length of the whole.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> from) noexcept : from_(from) {}

  template <std::unsigned_integral T>
  [[nodiscard]] T get() noexcept {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 |
                             std::to_integer<std::uint64_t>(from_[at_++]));
    }
    return value;
  }

 private:
  std::span<const std::byte> from_;
  std::size_t at_ = 0;
};

}  // namespace peermr::detail
