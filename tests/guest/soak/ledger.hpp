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

  /// A place has succeeded: what was acknowledged since the one before is in the memory, not only
  /// with the NIC, and that is the memory of `generation`.
  void placed(peermr::Generation generation) {
    for (Slot& one : slots_) {
      if (one.sequence == 0 || one.placed || one.given_up) continue;
      one.generation = generation;
      one.placed = true;
    }
  }
  /// It says that this may not be so.
  void not_placed() {
    for (Slot& one : slots_) one.given_up = !one.placed;
  }

  /// The write that must be there, if the memory is still of `generation`; none: there is no
  /// telling.
  std::optional<std::uint64_t> expected(std::uint32_t slot, peermr::Generation generation) const {
    const Slot& one = slots_[slot];
    if (one.sequence == 0 || one.generation != generation) return std::nullopt;
    return one.sequence;
  }
  /// The same, for who looks at the memory itself.
  std::optional<std::uint64_t> expected_in_memory(std::uint32_t slot,
                                                  peermr::Generation generation) const {
    return slots_[slot].placed ? expected(slot, generation) : std::nullopt;
  }
  std::uint32_t slots() const { return static_cast<std::uint32_t>(slots_.size()); }

 private:
  struct Slot {
    std::uint64_t sequence = 0;  // acknowledged; 0: in doubt
    peermr::Generation generation;
    bool placed = false;
    bool given_up = false;  // no later place speaks of it
  };
  std::vector<Slot> slots_;
  std::uint64_t last_ = 0;
};

}  // namespace soak
