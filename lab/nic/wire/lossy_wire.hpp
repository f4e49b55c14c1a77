// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <utility>

#include "wire.hpp"

namespace peermr::nic {

/// For tests: a wire that loses. Of so many segments one, at random, gets no answer, nor does any
/// further attempt to send it, so that its requester runs out of retries. Half of those segments
/// have been executed: only their acknowledgement was lost. Single-threaded.
class LossyWire final : public Wire {
 public:
  /// `wire` carries what is not lost, and outlives this one. `one_in` is at least 1.
  LossyWire(Wire& wire, uint32_t one_in) : wire_(wire), one_in_(one_in) {}

  void attach(WirePort& port) override { wire_.attach(port); }
  void detach(WirePort& port) noexcept override { wire_.detach(port); }
  Answer send(const pnic_av& to, const Segment& segment) override;
  void answer(uint16_t lid, uint32_t qpn, uint32_t sequence, const Answer& answer,
              std::span<const std::byte> data) override {
    wire_.answer(lid, qpn, sequence, answer, data);
  }

 private:
  using QueuePairId = std::pair<uint16_t, uint32_t>;  // LID and number of the requester

  Wire& wire_;
  const uint32_t one_in_;
  std::mt19937 random_{1};
  std::map<QueuePairId, uint32_t> lost_;  // sequence number of the last segment that was lost
};

}  // namespace peermr::nic
