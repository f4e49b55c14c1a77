// SPDX-License-Identifier: BSD-2-Clause
#include "queue_pair.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "nic_core.hpp"

namespace peermr::nic {

namespace {

// Flushed WQEs in one turn.
constexpr uint32_t kFlushBatch = 32;

pnic_cqe_opcode send_opcode(uint8_t wqe_opcode) {
  switch (wqe_opcode) {
    case PNIC_WQE_RDMA_WRITE:
    case PNIC_WQE_RDMA_WRITE_WITH_IMM:
      return PNIC_CQE_RDMA_WRITE;
    case PNIC_WQE_RDMA_READ:
      return PNIC_CQE_RDMA_READ;
    default:
      return PNIC_CQE_SEND;
  }
}

}  // namespace

std::chrono::nanoseconds rnr_delay(uint8_t code) noexcept {
  static constexpr std::array<uint32_t, 32> kMicroseconds = {
      655360, 10,    20,    30,    40,    60,     80,     120,    160,    240,   320,
      480,    640,   960,   1280,  1920,  2560,   3840,   5120,   7680,   10240, 15360,
      20480,  30720, 40960, 61440, 81920, 122880, 163840, 245760, 327680, 491520};
  return std::chrono::microseconds(kMicroseconds[code & 31]);
}

QueuePair::QueuePair(const Config& config, WorkRing sq, WorkRing rq)
    : config_(config), sq_(std::move(sq)), rq_(std::move(rq)) {}

pnic_qp_query QueuePair::query() const noexcept {
  pnic_qp_query answer{};
  answer.attr = attr_;
  answer.attr.state = static_cast<uint8_t>(state_);
  answer.attr.cur_state = static_cast<uint8_t>(state_);
  answer.sq_ci = sq_.consumed;
  answer.rq_ci = rq_.consumed;
  return answer;
}

uint32_t QueuePair::posted(NicCore& core, WorkRing& ring, uint32_t producer) {
  if (ring.broken) return 0;
  const uint32_t count = producer - ring.consumed;
  if (count <= ring.size()) return count;
  core.stats.add(PNIC_STAT_BAD_DOORBELL);
  fail_ring(core, ring);
  return 0;
}

void QueuePair::fail_ring(NicCore& core, WorkRing& ring) {
  ring.broken = true;
  enter_error();
  post_event(core, PNIC_QP_EVENT_FATAL);
}

bool QueuePair::poll(NicCore& core, uint64_t& moved_bytes) {
  const SlotValue slot = doorbell();
  switch (state_) {
    case PNIC_QPS_RESET:
      return false;
    case PNIC_QPS_INIT:
    case PNIC_QPS_RTR:
      posted(core, sq_, slot.low);
      posted(core, rq_, slot.high);
      return false;
    case PNIC_QPS_RTS:
      posted(core, rq_, slot.high);
      return requester_.poll(core, posted(core, sq_, slot.low), moved_bytes);
    default: {
      const bool sends = flush(core, sq_, slot.low, true);
      const bool receives = flush(core, rq_, slot.high, false);
      return sends || receives;
    }
  }
}

bool QueuePair::flush(NicCore& core, WorkRing& ring, uint32_t producer, bool send) {
  const uint32_t count = std::min(posted(core, ring, producer), kFlushBatch);
  CompletionQueue& cq = send ? *config_.send_cq : *config_.recv_cq;
  for (uint32_t i = 0; i < count; ++i) {
    pnic_cqe cqe{};
    cqe.status = PNIC_CQE_WR_FLUSH_ERR;
    if (send) {
      pnic_sq_wqe wqe{};
      if (!ring.memory.read(core.dma, ring.position(ring.consumed), &wqe, sizeof(wqe))) break;
      cqe.wr_id = wqe.wr_id;
      cqe.opcode = static_cast<uint8_t>(send_opcode(wqe.opcode));
    } else {
      pnic_rq_wqe wqe{};
      if (!ring.memory.read(core.dma, ring.position(ring.consumed), &wqe, sizeof(wqe))) break;
      cqe.wr_id = wqe.wr_id;
      cqe.opcode = static_cast<uint8_t>(PNIC_CQE_RECV);
    }
    cqe.wqe_index = ring.consumed++;
    complete(core, cq, cqe);
    if (i + 1 == count) return true;
  }
  if (count == 0) return false;
  core.stats.add(PNIC_STAT_DMA_UNMAPPED);
  fail_ring(core, ring);
  return true;
}

void QueuePair::enter_error() noexcept {
  if (state_ == PNIC_QPS_ERR) return;
  state_ = PNIC_QPS_ERR;
  ++epoch_;
  requester_.reset();
  responder_.reset();
}

void QueuePair::post_event(NicCore& core, pnic_qp_event code) {
  const uint32_t bit = 1u << code;
  if ((events_waiting_ & bit) != 0) return;
  events_waiting_ |= bit;
  pnic_eqe event{};
  event.type = PNIC_EVENT_QP;
  event.code = static_cast<uint16_t>(code);
  event.object = config_.qpn;
  if (!core.post_async(event)) events_waiting_ &= ~bit;
}

bool QueuePair::complete(NicCore& core, CompletionQueue& cq, pnic_cqe& cqe) {
  cqe.qpn = config_.qpn;
  cqe.timestamp_ns = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
          .count());
  if (cq.post(core, cqe)) return true;
  enter_error();
  return false;
}

void QueuePair::reset_queues() noexcept {
  ++epoch_;
  requester_.reset();
  responder_.reset();
  sq_.consumed = rq_.consumed = 0;
  sq_.broken = rq_.broken = false;
  attr_ = {};
}

namespace {

struct Transition {
  pnic_qp_state from;
  pnic_qp_state to;
  uint32_t required;
  uint32_t optional;
};

constexpr std::array<Transition, 5> kTransitions = {{
    {PNIC_QPS_RESET, PNIC_QPS_INIT, PNIC_QP_ATTR_ACCESS, 0},
    {PNIC_QPS_INIT, PNIC_QPS_INIT, 0, PNIC_QP_ATTR_ACCESS},
    {PNIC_QPS_INIT, PNIC_QPS_RTR,
     PNIC_QP_ATTR_AV | PNIC_QP_ATTR_PATH_MTU | PNIC_QP_ATTR_DEST_QPN | PNIC_QP_ATTR_RQ_PSN |
         PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC | PNIC_QP_ATTR_MIN_RNR_TIMER,
     PNIC_QP_ATTR_ACCESS},
    {PNIC_QPS_RTR, PNIC_QPS_RTS,
     PNIC_QP_ATTR_TIMEOUT | PNIC_QP_ATTR_RETRY_CNT | PNIC_QP_ATTR_RNR_RETRY | PNIC_QP_ATTR_SQ_PSN |
         PNIC_QP_ATTR_MAX_RD_ATOMIC,
     PNIC_QP_ATTR_ACCESS | PNIC_QP_ATTR_MIN_RNR_TIMER | PNIC_QP_ATTR_CUR_STATE},
    {PNIC_QPS_RTS, PNIC_QPS_RTS, 0,
     PNIC_QP_ATTR_ACCESS | PNIC_QP_ATTR_MIN_RNR_TIMER | PNIC_QP_ATTR_CUR_STATE},
}};

constexpr uint32_t kPsnMask = 0xffffff;

bool values_in_range(uint32_t mask, const pnic_qp_attr& a) {
  const auto given = [mask](uint32_t bit) { return (mask & bit) != 0; };
  const bool reserved_zero =
      std::all_of(std::begin(a.reserved0), std::end(a.reserved0), [](uint8_t b) { return b == 0; });
  if (!reserved_zero || a.av.reserved != 0) return false;
  constexpr uint32_t kQpAccess =
      PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_READ | PNIC_ACCESS_REMOTE_ATOMIC;
  if (given(PNIC_QP_ATTR_ACCESS) && (a.access & ~kQpAccess) != 0) return false;
  if (given(PNIC_QP_ATTR_AV) && (a.av.flags & ~PNIC_AV_GRH) != 0) return false;
  if (given(PNIC_QP_ATTR_PATH_MTU) && (a.path_mtu < 1 || a.path_mtu > 5)) return false;
  if (given(PNIC_QP_ATTR_TIMEOUT) && a.timeout > 31) return false;
  if (given(PNIC_QP_ATTR_RETRY_CNT) && a.retry_cnt > 7) return false;
  if (given(PNIC_QP_ATTR_RNR_RETRY) && a.rnr_retry > 7) return false;
  if (given(PNIC_QP_ATTR_RQ_PSN) && a.rq_psn > kPsnMask) return false;
  if (given(PNIC_QP_ATTR_SQ_PSN) && a.sq_psn > kPsnMask) return false;
  if (given(PNIC_QP_ATTR_MAX_RD_ATOMIC) && a.max_rd_atomic > Limits::kMaxRdAtomic) return false;
  if (given(PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC) && a.max_dest_rd_atomic > Limits::kMaxRdAtomic)
    return false;
  if (given(PNIC_QP_ATTR_MIN_RNR_TIMER) && a.min_rnr_timer > 31) return false;
  return !given(PNIC_QP_ATTR_DEST_QPN) || a.dest_qpn <= PNIC_QPN_MASK;
}

}  // namespace

pnic_cmd_status QueuePair::modify(NicCore&, uint32_t mask, const pnic_qp_attr& attr) {
  if ((mask & ~PNIC_QP_ATTR_MASK) != 0 || !values_in_range(mask, attr)) return PNIC_CMD_BAD_PARAM;
  const auto target =
      (mask & PNIC_QP_ATTR_STATE) != 0 ? static_cast<pnic_qp_state>(attr.state) : state_;
  const uint32_t attributes = mask & ~PNIC_QP_ATTR_STATE;
  if (target == PNIC_QPS_RESET || target == PNIC_QPS_ERR) {
    if ((mask & PNIC_QP_ATTR_STATE) == 0 || attributes != 0) return PNIC_CMD_BAD_PARAM;
    if (target == PNIC_QPS_RESET) {
      reset_queues();
      state_ = PNIC_QPS_RESET;
    } else {
      enter_error();
    }
    return PNIC_CMD_OK;
  }
  const auto rule =
      std::find_if(kTransitions.begin(), kTransitions.end(),
                   [&](const Transition& t) { return t.from == state_ && t.to == target; });
  if (rule == kTransitions.end()) return PNIC_CMD_BAD_PARAM;
  if ((attributes & rule->required) != rule->required ||
      (attributes & ~(rule->required | rule->optional)) != 0) {
    return PNIC_CMD_BAD_PARAM;
  }
  if ((attributes & PNIC_QP_ATTR_CUR_STATE) != 0 && attr.cur_state != state_)
    return PNIC_CMD_BAD_STATE;
  apply(attributes, attr);
  state_ = target;
  return PNIC_CMD_OK;
}

void QueuePair::apply(uint32_t mask, const pnic_qp_attr& attr) {
  const auto given = [mask](uint32_t bit) { return (mask & bit) != 0; };
  if (given(PNIC_QP_ATTR_ACCESS)) attr_.access = attr.access;
  if (given(PNIC_QP_ATTR_AV)) attr_.av = attr.av;
  if (given(PNIC_QP_ATTR_PATH_MTU)) attr_.path_mtu = attr.path_mtu;
  if (given(PNIC_QP_ATTR_TIMEOUT)) attr_.timeout = attr.timeout;
  if (given(PNIC_QP_ATTR_RETRY_CNT)) attr_.retry_cnt = attr.retry_cnt;
  if (given(PNIC_QP_ATTR_RNR_RETRY)) attr_.rnr_retry = attr.rnr_retry;
  if (given(PNIC_QP_ATTR_RQ_PSN)) attr_.rq_psn = attr.rq_psn;
  if (given(PNIC_QP_ATTR_MAX_RD_ATOMIC)) attr_.max_rd_atomic = attr.max_rd_atomic;
  if (given(PNIC_QP_ATTR_MIN_RNR_TIMER)) attr_.min_rnr_timer = attr.min_rnr_timer;
  if (given(PNIC_QP_ATTR_SQ_PSN)) attr_.sq_psn = attr.sq_psn;
  if (given(PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC)) attr_.max_dest_rd_atomic = attr.max_dest_rd_atomic;
  if (given(PNIC_QP_ATTR_DEST_QPN)) attr_.dest_qpn = attr.dest_qpn;
}

}  // namespace peermr::nic
