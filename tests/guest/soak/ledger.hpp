// SPDX-License-Identifier: BSD-2-Clause
//
// What a stream was told of its writes: what must be in memory, and what need not be.
#pragma once

#include <cstdint>
#include <optional>
#include <peermr/peermr.hpp>
#include <vector>

namespace soak {

class Ledger {
 public:
  explicit Ledger(std::uint32_t slots) : slots_(slots) {}

  /// The number of the next write to a slot; until it is acknowledged there is no telling what the
  /// slot holds. A write that fails may have been executed in part.
  std::uint64_t begin(std::uint32_t slot) {
    slots_[slot] = {};
    return ++last_;
  }
  void acknowledged(std::uint32_t slot, std::uint64_t sequence, peermr::Generation generation) {
    slots_[slot] = {.sequence = sequence, .generation = generation};
  }

  /// The write that must be there, if the memory is still of `generation`; none: there is no telling.
  std::optional<std::uint64_t> expected(std::uint32_t slot, peermr::Generation generation) const {
    const Slot& one = slots_[slot];
    if (one.sequence == 0 || one.generation != generation) return std::nullopt;
    return one.sequence;
  }

 private:
  struct Slot {
    std::uint64_t sequence = 0;  // acknowledged; 0: in doubt
    peermr::Generation generation;
  };
  std::vector<Slot> slots_;
  std::uint64_t last_ = 0;
};

}  // namespace soak
