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

/// The receiving half of a QP: checks each segment, places or fetches its data, and answers.
/// Single-threaded.
class Responder {
 public:
  explicit Responder(QueuePair& qp) : qp_(qp) {}

  /// Forgets the message and the receive under way. The receive's WQE stays in the ring,
  /// unconsumed.
  void reset() noexcept;

  /// A segment for this QP.
  Answer on_segment(NicCore& core, const Segment& segment);

  /// A transfer to or from memory behind the client has ended.
  void on_transfer_done(NicCore& core, int error, std::span<const std::byte> data);
  /// It has ended while the device may not touch memory: the requester will send the segment again.
  void on_transfer_lost(NicCore& core);

 private:
  /// A receive WQE, read once.
  struct Receive {
    bool loaded = false;
    uint64_t wr_id = 0;
    uint64_t capacity = 0;
    uint8_t num_sge = 0;
    std::array<pnic_sge, PNIC_MAX_SGE> sges;
  };

  /// Whether a step of the checks passed; if not, the answer is in answer_.
  bool load_receive(NicCore& core);
  bool target_of_rdma(NicCore& core, const Segment& segment);
  bool target_of_send(NicCore& core, const Segment& segment);
  bool room_for(NicCore& core, const Segment& segment);

  bool refuse(const Answer& answer) noexcept;
  bool fault(NicCore& core, MemoryRegion& region, uint64_t address, uint64_t length, bool write);
  bool access_error(NicCore& core);
  bool unreachable(NicCore& core);
  bool receive_failed(NicCore& core, pnic_cqe_status status, pnic_vendor_error why);

  Answer move_data(NicCore& core, const Segment& segment);
  Answer move_remote(NicCore& core, const Segment& segment);
  Answer segment_done(NicCore& core, const Segment& segment);
  bool complete_receive(NicCore& core, const Segment& segment);

  QueuePair& qp_;
  Answer answer_;
  Receive receive_;
  uint32_t next_offset_ = 0;  // of the SEND or WRITE under way
  bool established_ = false;  // COMM_EST was told

  PieceList target_;                // the responder's memory of the segment under way
  MemoryRegion* region_ = nullptr;  // of the target; valid within one call only

  // A segment that waits for the client: what is needed of it to answer later.
  bool pending_ = false;
  Segment saved_;
  uint16_t saved_lid_ = 0;
  std::vector<std::byte> bounce_;
};

}  // namespace peermr::nic
