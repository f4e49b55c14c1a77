// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/handshake.hpp"

#include <fmt/format.h>

namespace peermr {
namespace {

Error out_of_turn(const char* what, std::uint32_t epoch, std::uint32_t own) {
  return make_error(Errc::kMalformed, "connect", "queue pair",
                    fmt::format("{} of epoch {} came in epoch {}", what, epoch, own));
}

}  // namespace

Handshake::Step Handshake::next() const noexcept {
  if (!drained_) return Step::kDrain;
  if (!start_sent_) return Step::kSendStart;
  if (!peer_) return Step::kNothing;
  if (!connected_) return Step::kConnect;
  if (!peer_ready_ || resumed_) return Step::kNothing;
  return Step::kResume;
}

void Handshake::begin(std::uint32_t epoch) noexcept {
  *this = Handshake();
  epoch_ = epoch;
}

bool Handshake::failed() noexcept {
  if (!connected_) return false;
  begin(epoch_ + 1);
  return true;
}

Result<void> Handshake::on_start(const StartMessage& message) {
  // Both sides may begin an epoch at once: then the peer's START is of this one. A side can be one
  // epoch behind, never more: nobody connects, let alone fails, without the other's START.
  const bool begins_next = message.epoch == epoch_ + 1 && peer_;
  if (!begins_next && (message.epoch != epoch_ || peer_)) {
    return out_of_turn("START", message.epoch, epoch_);
  }
  if (begins_next) begin(message.epoch);
  peer_ = message;
  return {};
}

Result<void> Handshake::on_ready(const ReadyMessage& message) {
  // Sent before the peer heard that this side has begun anew.
  if (message.epoch + 1 == epoch_ && !peer_) return {};
  if (message.epoch != epoch_ || !peer_ || !start_sent_ || peer_ready_) {
    return out_of_turn("READY", message.epoch, epoch_);
  }
  peer_ready_ = true;
  return {};
}

}  // namespace peermr
