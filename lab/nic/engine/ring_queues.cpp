// SPDX-License-Identifier: BSD-2-Clause
#include "ring_queues.hpp"

#include <algorithm>
#include <cstddef>

#include "nic_core.hpp"

namespace peermr::nic {

namespace {

/// The phase bit of entry `index` of a ring: 1 in the first pass.
bool phase_of(uint32_t index, uint8_t log_size) {
  return ((index >> log_size) & 1) == 0;
}

/// Free-running counts: whether `produced` is past `consumed`.
bool ahead(uint32_t produced, uint32_t consumed) {
  return static_cast<int32_t>(produced - consumed) > 0;
}

}  // namespace

uint32_t ArmState::refresh() noexcept {
  const SlotValue value = load_slot(slot_);
  if (value.high != seen_) {
    seen_ = value.high;
    armed_ = value.high & PNIC_ARM_MASK;
    armed_at_ = value.low;
  }
  return value.low;
}

bool ArmState::take(uint32_t produced, uint32_t last_solicited) noexcept {
  if (armed_ == PNIC_ARM_NONE) return false;
  const uint32_t newest = armed_ == PNIC_ARM_SOLICITED ? last_solicited : produced;
  if (!ahead(newest, armed_at_)) return false;
  armed_ = PNIC_ARM_NONE;
  return true;
}

void EventQueue::post(NicCore& core, const pnic_eqe& event) {
  waiting_.push_back(event);
  write_waiting(core);
}

bool EventQueue::write_waiting(NicCore& core) {
  bool wrote = false;
  while (!waiting_.empty()) {
    // A count from nowhere looks like a full ring: the events wait, and only this EQ's owner misses
    // them.
    const uint32_t consumed = arm_.refresh();
    if (produced_ - consumed >= (1u << log_size_)) break;
    pnic_eqe event = waiting_.front();
    event.flags = static_cast<uint8_t>((event.flags & ~PNIC_EQE_PHASE) |
                                       (phase_of(produced_, log_size_) ? PNIC_EQE_PHASE : 0u));
    const uint64_t position = uint64_t{produced_ & ((1u << log_size_) - 1)} * sizeof(event);
    if (!ring_.write_entry(core.dma, position, &event, sizeof(event), offsetof(pnic_eqe, flags))) {
      core.stats.add(PNIC_STAT_DMA_UNMAPPED);
      waiting_.clear();
      core.raise_fatal(PNIC_FATAL_EQ_DMA);
      return true;
    }
    waiting_.pop_front();
    ++produced_;
    wrote = true;
    if (event.type == PNIC_EVENT_COMPLETION) {
      if (CompletionQueue* cq = core.cqs.find(event.object)) cq->event_waiting = false;
    } else if (event.type == PNIC_EVENT_QP) {
      if (QueuePair* qp = core.qps.find(event.object)) qp->event_written(event.code);
    }
  }
  if (wrote) {
    arm_.refresh();
    if (arm_.take(produced_, produced_)) core.interrupt(vector);
  }
  return wrote;
}

bool EventQueue::poll(NicCore& core) {
  arm_.refresh();
  const bool due = arm_.take(produced_, produced_);
  if (due) core.interrupt(vector);
  return (!waiting_.empty() && write_waiting(core)) || due;
}

void EventQueue::forget(pnic_event_type type, uint32_t object) {
  std::erase_if(waiting_, [&](const pnic_eqe& event) {
    return event.type == type && event.object == object;
  });
}

bool CompletionQueue::fail(NicCore& core) {
  if (failed_) return false;
  failed_ = true;
  core.stats.add(PNIC_STAT_CQ_OVERFLOW);
  pnic_eqe event{};
  event.type = PNIC_EVENT_CQ_ERROR;
  event.object = cqn;
  core.post_async(event);
  return false;
}

bool CompletionQueue::post(NicCore& core, pnic_cqe& cqe) {
  if (failed_) return false;
  const uint32_t consumed = arm_.refresh();
  if (produced_ - consumed >= (1u << log_size_)) return fail(core);
  const bool solicited =
      (cqe.flags & PNIC_CQE_FLAG_SOLICITED) != 0 || cqe.status != PNIC_CQE_SUCCESS;
  cqe.flags = static_cast<uint8_t>((cqe.flags & PNIC_CQE_FLAG_IMM) |
                                   (solicited ? PNIC_CQE_FLAG_SOLICITED : 0u) |
                                   (phase_of(produced_, log_size_) ? PNIC_CQE_FLAG_PHASE : 0u));
  const uint64_t position = uint64_t{produced_ & ((1u << log_size_) - 1)} * sizeof(cqe);
  if (!ring_.write_entry(core.dma, position, &cqe, sizeof(cqe), offsetof(pnic_cqe, flags))) {
    core.stats.add(PNIC_STAT_DMA_UNMAPPED);
    return fail(core);
  }
  ++produced_;
  if (solicited) last_solicited_ = produced_;
  if (cqe.status != PNIC_CQE_SUCCESS && cqe.status != PNIC_CQE_WR_FLUSH_ERR)
    core.stats.add(PNIC_STAT_WR_ERROR);
  notify_if_wanted(core);
  return true;
}

bool CompletionQueue::poll(NicCore& core) {
  arm_.refresh();
  return notify_if_wanted(core);
}

bool CompletionQueue::notify_if_wanted(NicCore& core) {
  if (!arm_.take(produced_, last_solicited_)) return false;
  if (event_waiting) return true;  // the one that waits will do
  event_waiting = true;
  pnic_eqe event{};
  event.type = PNIC_EVENT_COMPLETION;
  event.object = cqn;
  eq->post(core, event);
  return true;
}

}  // namespace peermr::nic
