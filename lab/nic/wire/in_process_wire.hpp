// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <vector>

#include "wire.hpp"

namespace peermr::nic {

/// Joins the NICs of one process: a segment is a function call, and its data one copy.
/// Single-threaded.
class InProcessWire final : public Wire {
 public:
  void attach(WirePort& port) override;
  void detach(WirePort& port) noexcept override;
  Answer send(const pnic_av& to, const Segment& segment) override;
  void answer(uint16_t lid, uint32_t qpn, uint32_t sequence, const Answer& answer,
              std::span<const std::byte> data) override;

 private:
  std::vector<WirePort*> ports_;
};

}  // namespace peermr::nic
