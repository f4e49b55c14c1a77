// SPDX-License-Identifier: BSD-2-Clause
#include "lossy_wire.hpp"

namespace peermr::nic {

namespace {

constexpr Answer kSilence{AnswerKind::kSilence, 0};

}  // namespace

Answer LossyWire::send(const pnic_av& to, const Segment& segment) {
  const QueuePairId requester{segment.source->lid, segment.source_qpn};
  const auto lost = lost_.find(requester);
  if (lost != lost_.end() && lost->second == segment.sequence) return kSilence;
  if (random_() % one_in_ != 0) return wire_.send(to, segment);
  if (random_() % 2 == 0) {
    const Answer answer = wire_.send(to, segment);
    // Anything else was no execution.
    if (answer.kind != AnswerKind::kAck) return answer;
  }
  lost_[requester] = segment.sequence;
  return kSilence;
}

}  // namespace peermr::nic
