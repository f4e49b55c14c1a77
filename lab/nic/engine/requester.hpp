// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "guest_buffer.hpp"
#include "hardware.hpp"
#include "wire.hpp"

namespace peermr::nic {

struct NicCore;
struct Access;
struct MemoryRegion;
class QueuePair;

/// The sending half of a QP: takes WQEs from the SQ one after the other, cuts their messages into
/// segments, sends each and acts on its answer. Single-threaded; one call does a bounded amount of
/// work.
class Requester {
 public:
  explicit Requester(QueuePair& qp) : qp_(qp) {}

  /// Forgets the WR under way. Its WQE stays in the ring, unconsumed.
  void reset() noexcept;

  /// Goes on with the WR under way and with `posted` WQEs (that one included). True if something
  /// happened.
  bool poll(NicCore& core, uint32_t posted, uint64_t& moved_bytes);

  /// When poll() is worth calling again, if nothing else happens; Clock::time_point::max() if only
  /// an event helps. Meaningful while waiting() is true.
  Clock::time_point wake_at() const noexcept { return wake_at_; }
  bool waiting() const noexcept { return wait_ != Wait::kNone; }

  /// The MR with this key has changed its state, or the driver has given up on its fault for now.
  void on_region_changed(uint32_t key) noexcept;
  void on_fault_done(uint32_t key) noexcept;

  /// The answer that was pending for the segment with this sequence number.
  void on_answer(NicCore& core, uint32_t sequence, const Answer& answer,
                 std::span<const std::byte> data);

  /// A transfer to or from memory behind the client has ended.
  void on_transfer_done(NicCore& core, int error, std::span<const std::byte> data);
  /// It has ended while the device may not touch memory: the segment is done again later.
  void on_transfer_lost() noexcept;

 private:
  enum class Wait : uint8_t {
    kNone,
    kRnr,       // for the responder's timer
    kTimeout,   // for an answer that does not come
    kFault,     // for the driver to make an own MR valid
    kAnswer,    // for an answer that will come
    kTransfer,  // for memory behind the client
  };

  /// A WQE, read once and checked.
  struct WorkRequest {
    uint64_t wr_id = 0;
    uint64_t remote_address = 0;
    uint32_t rkey = 0;
    uint32_t imm = 0;
    uint32_t length = 0;
    uint8_t opcode = 0;
    uint8_t flags = 0;
    uint8_t num_sge = 0;
    std::array<pnic_sge, PNIC_MAX_SGE> sges;
    std::array<std::byte, PNIC_MAX_INLINE> inline_data;
  };

  bool load(NicCore& core);
  bool parse(std::span<const std::byte> wqe);
  bool ready(NicCore& core);
  void send_segment(NicCore& core, uint64_t& moved_bytes);
  bool build_payload(NicCore& core);
  bool append_sge(NicCore& core, const pnic_sge& sge, uint64_t skip, uint64_t take);
  bool own_key_failed(NicCore& core, const Access& access, const pnic_sge& sge);
  bool start_local_transfer(NicCore& core);
  void transmit(NicCore& core);
  void handle(NicCore& core, const Answer& answer);
  void acknowledged(NicCore& core);
  void advance(NicCore& core);
  void finish(NicCore& core, pnic_cqe_status status, pnic_vendor_error why);
  void wait_until(Wait wait, Clock::time_point when) noexcept { wait_ = wait, wake_at_ = when; }

  QueuePair& qp_;
  WorkRequest wr_;
  bool loaded_ = false;
  uint32_t offset_ = 0;    // acknowledged bytes of the message
  uint32_t sequence_ = 0;  // of the segment under way; never goes back
  uint8_t rnr_left_ = 0;
  uint8_t retries_left_ = 0;

  Wait wait_ = Wait::kNone;
  Clock::time_point wake_at_{};
  uint32_t fault_key_ = 0;
  Clock::time_point fault_deadline_{};  // zero: no fault so far
  std::chrono::milliseconds fault_pause_{};

  PieceList payload_;  // of the segment under way
  const MemoryRegion* own_region_ =
      nullptr;  // of the last piece, for the self check; valid within one call only
  std::vector<std::byte> bounce_;  // when the payload is behind the client
  uint64_t bounce_bus_ = 0;
  uint32_t bounce_key_ = 0;
  bool bounce_filled_ = false;
};

}  // namespace peermr::nic
