// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "guest_buffer.hpp"
#include "hardware.hpp"

namespace peermr::nic {

/// Who a NIC is on the wire.
struct PortAddress {
  uint16_t lid = 0;
  uint64_t guid = 0;
  std::array<uint8_t, 16> gid{};  // network order
};

/// Whether an address vector names this port: by GID with PNIC_AV_GRH, else by LID.
bool names_port(const pnic_av& av, const PortAddress& port) noexcept;

enum class SegmentKind : uint8_t { kSend, kWrite, kRead };

/// A part of a message, from requester to responder. Segments of a QP are delivered in order, each
/// one answered before the next is sent.
struct Segment {
  SegmentKind kind = SegmentKind::kSend;
  bool last = false;  // of its message
  bool has_imm = false;
  bool solicited = false;
  uint32_t imm = 0;  // as in the WQE
  uint32_t sequence =
      0;  // the same for each attempt to send this segment; its late answer bears it
  uint32_t source_qpn = 0;
  uint32_t dest_qpn = 0;
  const PortAddress* source = nullptr;
  uint64_t remote_address = 0;  // of the message's first byte: WRITE and READ
  uint32_t rkey = 0;
  uint32_t message_length = 0;
  uint32_t message_offset = 0;  // of this segment
  uint32_t length = 0;
  // The requester's memory, all of it in this process: what SEND and WRITE carry, or where READ's
  // data goes. A wire across machines puts its packet buffers here on the responder's side.
  const PieceList* payload = nullptr;
};

enum class AnswerKind : uint8_t {
  kAck,
  kRnrNak,
  kNakInvalidRequest,
  kNakRemoteAccess,
  kNakRemoteOperation,
  kSilence,  // no such peer, or it does not talk to us
  kPending,  // comes later, through WirePort::on_answer()
};

struct Answer {
  AnswerKind kind = AnswerKind::kAck;
  uint8_t rnr_timer = 0;  // with kRnrNak: the responder's min_rnr_timer
};

/// A NIC's side of a wire. Calls come from the engine's thread.
class WirePort {
 public:
  virtual ~WirePort() = default;

  virtual const PortAddress& address() const noexcept = 0;

  /// A segment for a QP of this NIC. The segment and its payload are valid during the call only: a
  /// responder that answers later (kPending) copies what it needs.
  virtual Answer on_segment(const Segment& segment) = 0;

  /// The answer that was pending for segment `sequence` of this QP. `data` is what a READ brought,
  /// else empty.
  virtual void on_answer(uint32_t qpn, uint32_t sequence, const Answer& answer,
                         std::span<const std::byte> data) = 0;
};

/// What joins NICs. Single-threaded; does not block.
class Wire {
 public:
  virtual ~Wire() = default;

  /// `port` must outlive its attachment.
  virtual void attach(WirePort& port) = 0;
  virtual void detach(WirePort& port) noexcept = 0;

  /// Carries a segment to the port that `to` names.
  virtual Answer send(const pnic_av& to, const Segment& segment) = 0;

  /// Carries a late answer back to QP `qpn` of the port with that LID; a port that is gone gets
  /// none.
  virtual void answer(uint16_t lid, uint32_t qpn, uint32_t sequence, const Answer& answer,
                      std::span<const std::byte> data) = 0;
};

}  // namespace peermr::nic
