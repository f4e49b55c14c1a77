// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "doorbell_bar.hpp"
#include "guest_buffer.hpp"
#include "hardware.hpp"
#include "requester.hpp"
#include "responder.hpp"
#include "ring_queues.hpp"

namespace peermr::nic {

struct NicCore;

/// A send or receive queue: a ring of WQEs in guest memory, and how many the device is done with.
struct WorkRing {
  GuestBuffer memory;
  uint8_t log_size = 0;
  uint8_t stride_shift = 0;
  uint32_t consumed = 0;
  bool broken =
      false;  // the ring or its count cannot be trusted: nothing more is read, not even to flush it

  uint32_t size() const noexcept { return 1u << log_size; }
  uint32_t stride() const noexcept { return 1u << stride_shift; }
  uint64_t position(uint32_t index) const noexcept {
    return uint64_t{index & (size() - 1)} << stride_shift;
  }
};

/// A reliable connected queue pair (docs/nic-spec.md, section 9). Single-threaded.
class QueuePair {
 public:
  struct Config {
    uint32_t qpn = 0;
    uint32_t pdn = 0;
    CompletionQueue* send_cq = nullptr;
    CompletionQueue* recv_cq = nullptr;
    uint32_t uar = 0;
    const uint64_t* slot = nullptr;
    bool signal_all = false;
  };

  QueuePair(const Config& config, WorkRing sq, WorkRing rq);

  /// MODIFY_QP.
  pnic_cmd_status modify(NicCore& core, uint32_t mask, const pnic_qp_attr& attr);

  /// The answer of QUERY_QP.
  pnic_qp_query query() const noexcept;

  /// One turn: looks at the doorbells, then executes or flushes a bounded amount of work. True if
  /// something happened. Adds the payload bytes that were moved to `moved_bytes`.
  bool poll(NicCore& core, uint64_t& moved_bytes);

  /// To the error state: what is posted gets flushed by the next polls.
  void enter_error() noexcept;

  /// Posts an asynchronous event of this QP, unless one of that code is still on its way.
  void post_event(NicCore& core, pnic_qp_event code);
  void event_written(uint16_t code) noexcept { events_waiting_ &= ~(1u << code); }
  void events_lost() noexcept { events_waiting_ = 0; }

  /// A ring or a doorbell of this QP is bad: FATAL event, error state.
  void fail_ring(NicCore& core, WorkRing& ring);

  /// Completes a WQE of the SQ or RQ. A CQ that takes no more puts the QP into the error state:
  /// false.
  bool complete(NicCore& core, CompletionQueue& cq, pnic_cqe& cqe);

  /// The number of WQEs posted to a ring and not consumed. A count that cannot be is a fatal error
  /// of the QP: 0.
  uint32_t posted(NicCore& core, WorkRing& ring, uint32_t producer);

  uint32_t qpn() const noexcept { return config_.qpn; }
  const Config& config() const noexcept { return config_; }
  const pnic_qp_attr& attr() const noexcept { return attr_; }
  pnic_qp_state state() const noexcept { return state_; }
  /// Changes when the QP is reset or fails: what was started before must not touch it any more.
  uint32_t epoch() const noexcept { return epoch_; }
  WorkRing& sq() noexcept { return sq_; }
  WorkRing& rq() noexcept { return rq_; }
  uint64_t num_pages() const noexcept { return sq_.memory.num_pages() + rq_.memory.num_pages(); }
  SlotValue doorbell() const noexcept { return load_slot(config_.slot); }
  Requester& requester() noexcept { return requester_; }
  Responder& responder() noexcept { return responder_; }

 private:
  bool flush(NicCore& core, WorkRing& ring, uint32_t producer, bool send);
  void reset_queues() noexcept;
  void apply(uint32_t mask, const pnic_qp_attr& attr);

  const Config config_;
  WorkRing sq_;
  WorkRing rq_;
  pnic_qp_state state_ = PNIC_QPS_RESET;
  pnic_qp_attr attr_{};
  uint32_t epoch_ = 0;
  uint32_t events_waiting_ = 0;  // bit per enum pnic_qp_event
  Requester requester_{*this};
  Responder responder_{*this};
};

/// The time that a min_rnr_timer code stands for (InfiniBand, table 45).
std::chrono::nanoseconds rnr_delay(uint8_t code) noexcept;

}  // namespace peermr::nic
