// SPDX-License-Identifier: BSD-2-Clause
#include "bench/pattern.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint64_t kWord = sizeof(std::uint64_t);
constexpr std::uint64_t kCacheLine = 64;

// A bijection with good mixing (the finisher of MurmurHash3): neighbours share no bytes.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ x >> 33;
}

constexpr std::uint64_t pattern_word(std::uint64_t seed, std::uint64_t index) noexcept {
  return mix(seed + (index + 1) * 0x9e3779b97f4a7c15ull);
}

// Ones in the bytes of a word that belong to the message, which ends `left` bytes after its start.
constexpr std::uint64_t message_mask(std::uint64_t left) noexcept {
  if (left >= kWord) return ~std::uint64_t{0};
  return (std::uint64_t{1} << (8 * left)) - 1;
}

void note_wrong_word(std::optional<Mismatch>& mismatch, std::uint64_t index, std::uint64_t expected,
                     std::uint64_t found, std::uint64_t pattern, std::uint64_t mask) noexcept {
  for (unsigned byte = 0; byte < kWord; ++byte) {
    const auto part = [byte](std::uint64_t word) {
      return static_cast<std::uint8_t>(word >> (8 * byte));
    };
    if (part(expected) == part(found)) continue;
    if (!mismatch) {
      const bool outside = part(mask) == 0;
      mismatch = Mismatch{index * kWord + byte,
                          part(expected),
                          part(found),
                          0,
                          !outside && part(found) == part(~pattern),
                          outside};
    }
    ++mismatch->wrong_bytes;
  }
}

}  // namespace

Result<Layout> Layout::fit(std::uint64_t size_bytes, std::uint64_t wanted_slots,
                           std::uint64_t room_bytes) {
  if (size_bytes == 0 || size_bytes > room_bytes) {
    return make_error(std::errc::no_buffer_space, "place messages", format_bytes(size_bytes),
                      fmt::format("the target has {}", format_bytes(room_bytes)));
  }
  const std::uint64_t stride = (size_bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  if (stride > room_bytes || stride < size_bytes) {
    return make_error(std::errc::no_buffer_space, "place messages", format_bytes(size_bytes),
                      fmt::format("the target has {}", format_bytes(room_bytes)));
  }
  const std::uint64_t slots =
      std::clamp(room_bytes / stride, std::uint64_t{1}, std::max(wanted_slots, std::uint64_t{1}));
  return Layout{size_bytes, stride, slots};
}

bool Layout::valid_within(std::uint64_t room_bytes) const noexcept {
  return size_bytes != 0 && size_bytes <= stride_bytes && stride_bytes % kWord == 0 &&
         stride_bytes <= room_bytes && slots != 0 && slots <= room_bytes / stride_bytes;
}

void fill_pattern(Words words, const Layout& layout, std::uint64_t seed) noexcept {
  const std::uint64_t count = layout.span_bytes() / kWord;
  for (std::uint64_t i = 0; i < count; ++i) words[i] = pattern_word(seed, i);
}

void fill_poison(Words words, const Layout& layout, std::uint64_t seed) noexcept {
  const std::uint64_t count = layout.span_bytes() / kWord;
  for (std::uint64_t i = 0; i < count; ++i) words[i] = ~pattern_word(seed, i);
}

std::optional<Mismatch> find_mismatch(Words words, const Layout& layout,
                                      std::uint64_t seed) noexcept {
  std::optional<Mismatch> mismatch;
  const std::uint64_t stride_words = layout.stride_bytes / kWord;
  for (std::uint64_t slot = 0; slot < layout.slots; ++slot) {
    for (std::uint64_t i = 0; i < stride_words; ++i) {
      const std::uint64_t index = slot * stride_words + i;
      const std::uint64_t at = i * kWord;
      const std::uint64_t mask =
          at < layout.size_bytes ? message_mask(layout.size_bytes - at) : std::uint64_t{0};
      const std::uint64_t pattern = pattern_word(seed, index);
      const std::uint64_t expected = pattern ^ ~mask;  // poison is the complement
      const std::uint64_t found = words[index];
      if (found != expected) note_wrong_word(mismatch, index, expected, found, pattern, mask);
    }
  }
  return mismatch;
}

}  // namespace peermr::tool
