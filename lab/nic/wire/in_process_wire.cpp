// SPDX-License-Identifier: BSD-2-Clause
#include "in_process_wire.hpp"

namespace peermr::nic {

void InProcessWire::attach(WirePort& port) {
  ports_.push_back(&port);
}

void InProcessWire::detach(WirePort& port) noexcept {
  std::erase(ports_, &port);
}

Answer InProcessWire::send(const pnic_av& to, const Segment& segment) {
  for (WirePort* port : ports_) {
    if (names_port(to, port->address())) return port->on_segment(segment);
  }
  return {AnswerKind::kSilence, 0};
}

void InProcessWire::answer(uint16_t lid, uint32_t qpn, uint32_t sequence, const Answer& answer,
                           std::span<const std::byte> data) {
  for (WirePort* port : ports_) {
    if (port->address().lid == lid) return port->on_answer(qpn, sequence, answer, data);
  }
}

}  // namespace peermr::nic
