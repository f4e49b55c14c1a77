// SPDX-License-Identifier: BSD-2-Clause
#include "soak/record.hpp"

#include <algorithm>

namespace soak {
namespace {

// The upper half of each word says who; the lower half differs from word to word.
std::uint64_t word(std::uint32_t stream, std::uint32_t slot, std::uint64_t sequence,
                   std::uint64_t index) {
  const std::uint64_t mixed = (sequence * 64 + index) * 0x9e3779b97f4a7c15u + slot;
  return std::uint64_t{stream} << 32 | (mixed ^ mixed >> 32) % (std::uint64_t{1} << 32);
}

}  // namespace

void fill(Record& record, std::uint32_t stream, std::uint32_t slot, std::uint64_t sequence) {
  for (std::size_t i = 0; i < record.words.size(); ++i) {
    record.words[i] = word(stream, slot, sequence, i);
  }
}

bool is(const Record& record, std::uint32_t stream, std::uint32_t slot, std::uint64_t sequence) {
  for (std::size_t i = 0; i < record.words.size(); ++i) {
    if (record.words[i] != word(stream, slot, sequence, i)) return false;
  }
  return true;
}

bool has_intruder(const Record& record) {
  return std::any_of(record.words.begin(), record.words.end(),
                     [](std::uint64_t one) { return one >> 32 == kIntruder; });
}

}  // namespace soak
