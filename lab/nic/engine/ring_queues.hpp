// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <deque>

#include "guest_buffer.hpp"
#include "hardware.hpp"

namespace peermr::nic {

struct NicCore;

/// Where the consumer of a ring rings, and how large the ring is.
struct RingSlot {
  uint32_t uar = 0;
  const uint64_t* slot = nullptr;
  uint8_t log_size = 0;
};

/// The consumer's side of a CQ or an EQ: entries consumed, and for what it wants to be told.
class ArmState {
 public:
  explicit ArmState(const uint64_t* slot) : slot_(slot) {}

  /// Reads the slot and takes note of a new arming. Returns the consumer's count.
  uint32_t refresh() noexcept;

  /// Whether the consumer wants to be told now, given the counts of entries ever produced, of any
  /// kind and up to the last solicited one. If so, the arming is used up.
  bool take(uint32_t produced, uint32_t last_solicited) noexcept;

 private:
  const uint64_t* slot_;
  uint32_t seen_ = 0;   // the last value of `arm`
  uint32_t armed_ = 0;  // PNIC_ARM_*
  uint32_t armed_at_ = 0;
};

/// An event queue (docs/nic-spec.md, section 7). Single-threaded.
class EventQueue {
 public:
  EventQueue(uint32_t number, uint32_t vector_number, const RingSlot& place, GuestBuffer ring)
      : eqn(number),
        vector(vector_number),
        uar(place.uar),
        log_size_(place.log_size),
        arm_(place.slot),
        ring_(std::move(ring)) {}

  /// Queues an event; it is written as soon as the ring has room. The caller sees to it that an
  /// object has at most one event of a type and code waiting: see on_written().
  void post(NicCore& core, const pnic_eqe& event);

  /// Writes waiting events and looks for a new arming. True if something happened.
  bool poll(NicCore& core);

  /// Drops events of an object that is destroyed, or that have been answered already.
  void forget(pnic_event_type type, uint32_t object);

  uint64_t num_pages() const noexcept { return ring_.num_pages(); }

  const uint32_t eqn;
  const uint32_t vector;
  const uint32_t uar;
  uint32_t users = 0;  // CQs

 private:
  bool write_waiting(NicCore& core);

  uint8_t log_size_;
  ArmState arm_;
  GuestBuffer ring_;
  uint32_t produced_ = 0;
  std::deque<pnic_eqe> waiting_;
};

/// A completion queue (section 8). Single-threaded.
class CompletionQueue {
 public:
  CompletionQueue(uint32_t number, EventQueue* events, const RingSlot& place, GuestBuffer ring)
      : cqn(number),
        eq(events),
        uar(place.uar),
        log_size_(place.log_size),
        arm_(place.slot),
        ring_(std::move(ring)) {}

  /// Writes a CQE; sets its phase and, for failed ones, its solicited flag. False if the CQ is in
  /// error: it has overflowed, or its ring cannot be reached. Does not allocate.
  [[nodiscard]] bool post(NicCore& core, pnic_cqe& cqe);

  /// Looks for a new arming. True if an event was due.
  bool poll(NicCore& core);

  uint64_t num_pages() const noexcept { return ring_.num_pages(); }

  const uint32_t cqn;
  EventQueue* const eq;
  const uint32_t uar;
  uint32_t users = 0;          // QPs, counted twice if they use it for both directions
  bool event_waiting = false;  // a completion event is on its way to the EQ

 private:
  bool fail(NicCore& core);
  bool notify_if_wanted(NicCore& core);

  uint8_t log_size_;
  ArmState arm_;
  GuestBuffer ring_;
  uint32_t produced_ = 0;
  uint32_t last_solicited_ = 0;
  bool failed_ = false;
};

}  // namespace peermr::nic
