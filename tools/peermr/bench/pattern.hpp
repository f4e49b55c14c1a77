// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "peermr/result.hpp"

namespace peermr::tool {

/// Memory as the CPU sees it, in words: a BAR is accessed with aligned 64-bit loads and stores and
/// nothing else, which device memory of any kind can take.
using Words = std::span<volatile std::uint64_t>;

/// Where the messages of a row lie: slot `i` at `i * stride_bytes`.
struct Layout {
  std::uint64_t size_bytes = 0;    ///< of one message, at least 1
  std::uint64_t stride_bytes = 0;  ///< multiple of 8, not less than size_bytes
  std::uint64_t slots = 0;         ///< at least 1

  [[nodiscard]] std::uint64_t span_bytes() const noexcept { return stride_bytes * slots; }

  /// As many slots as fit in `room_bytes`, `wanted_slots` at most. Slots begin at cache lines.
  /// Errors: std::errc::no_buffer_space when not even one fits.
  [[nodiscard]] static Result<Layout> fit(std::uint64_t size_bytes, std::uint64_t wanted_slots,
                                          std::uint64_t room_bytes);

  /// Whether the layout makes sense and lies within `room_bytes`: for layouts that came from a
  /// peer.
  [[nodiscard]] bool valid_within(std::uint64_t room_bytes) const noexcept;
};

/// Fills all slots, and what is between them, with the pattern of `seed`: no two slots are alike.
/// `words` holds at least span_bytes().
void fill_pattern(Words words, const Layout& layout, std::uint64_t seed) noexcept;

/// Fills with the complement of the pattern, so that every byte is wrong.
void fill_poison(Words words, const Layout& layout, std::uint64_t seed) noexcept;

struct Mismatch {
  std::uint64_t offset_bytes = 0;  ///< of the first wrong byte, from the start of slot 0
  std::uint8_t expected = 0;
  std::uint8_t found = 0;
  std::uint64_t wrong_bytes = 0;
  bool poison = false;   ///< the first wrong byte was never written
  bool outside = false;  ///< the first wrong byte is past the end of its message
};

/// Compares byte for byte: the first `slots` slots hold the pattern within their message, and
/// poison after it, up to the next slot. Nothing is returned when all of it is so.
[[nodiscard]] std::optional<Mismatch> find_mismatch(Words words, const Layout& layout,
                                                    std::uint64_t seed) noexcept;

}  // namespace peermr::tool
