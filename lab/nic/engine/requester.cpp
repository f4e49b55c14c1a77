// SPDX-License-Identifier: BSD-2-Clause
#include "requester.hpp"

#include <algorithm>
#include <cstring>

#include "nic_core.hpp"

namespace peermr::nic {

namespace {

// One segment: small enough that a VMM which waits for a reply is served between two of them.
constexpr uint32_t kSegmentBytes = 128 * 1024;
constexpr uint32_t kRemoteSegmentBytes = 64 * 1024;

// Small WRs executed in one turn.
constexpr int kSegmentsPerTurn = 16;
constexpr uint64_t kBytesPerTurn = kSegmentBytes;

// A pending answer that does not come: the segment is sent again, to see whether the responder
// still knows of it.
constexpr std::chrono::milliseconds kAnswerReminder{20};

constexpr std::chrono::milliseconds kFirstFaultPause{1};
constexpr std::chrono::milliseconds kLastFaultPause{64};

SegmentKind kind_of(uint8_t opcode) {
  switch (opcode) {
    case PNIC_WQE_RDMA_READ:
      return SegmentKind::kRead;
    case PNIC_WQE_RDMA_WRITE:
    case PNIC_WQE_RDMA_WRITE_WITH_IMM:
      return SegmentKind::kWrite;
    default:
      return SegmentKind::kSend;
  }
}

pnic_cqe_opcode cqe_opcode_of(uint8_t opcode) {
  switch (kind_of(opcode)) {
    case SegmentKind::kRead:
      return PNIC_CQE_RDMA_READ;
    case SegmentKind::kWrite:
      return PNIC_CQE_RDMA_WRITE;
    default:
      return PNIC_CQE_SEND;
  }
}

pnic_stat stat_of(uint8_t opcode) {
  switch (kind_of(opcode)) {
    case SegmentKind::kRead:
      return PNIC_STAT_TX_READ;
    case SegmentKind::kWrite:
      return PNIC_STAT_TX_WRITE;
    default:
      return PNIC_STAT_TX_SEND;
  }
}

}  // namespace

void Requester::reset() noexcept {
  loaded_ = false;
  offset_ = 0;
  wait_ = Wait::kNone;
  fault_deadline_ = {};
  bounce_filled_ = false;
}

bool Requester::poll(NicCore& core, uint32_t posted, uint64_t& moved_bytes) {
  bool progress = false;
  uint64_t moved = 0;
  const uint32_t epoch = qp_.epoch();
  for (int i = 0; i < kSegmentsPerTurn && moved < kBytesPerTurn; ++i) {
    if (!ready(core)) break;
    if (qp_.epoch() != epoch || posted == 0) break;
    const uint32_t before = qp_.sq().consumed;
    if (!loaded_ && !load(core)) return true;
    send_segment(core, moved);
    progress = true;
    if (qp_.epoch() != epoch) break;
    posted -= qp_.sq().consumed - before;
  }
  moved_bytes += moved;
  return progress || qp_.epoch() != epoch;
}

/// Whether the wait is over. A wait for an answer that never came, or for a fault, may end in an
/// error completion.
bool Requester::ready(NicCore& core) {
  if (wait_ == Wait::kNone) return true;
  if (wait_ == Wait::kTransfer || Clock::now() < wake_at_) return false;
  const Wait waited = wait_;
  wait_ = Wait::kNone;
  if (waited != Wait::kTimeout) return true;
  core.stats.add(PNIC_STAT_TIMEOUT);
  if (retries_left_ == 0) {
    finish(core, PNIC_CQE_RETRY_EXC_ERR, PNIC_VERR_NONE);
  } else {
    --retries_left_;
  }
  return true;
}

bool Requester::load(NicCore& core) {
  WorkRing& sq = qp_.sq();
  std::array<std::byte, 1u << PNIC_SQ_STRIDE_SHIFT_MAX> wqe;
  if (!sq.memory.read(core.dma, sq.position(sq.consumed), wqe.data(), sq.stride())) {
    core.stats.add(PNIC_STAT_DMA_UNMAPPED);
    qp_.fail_ring(core, sq);
    return false;
  }
  offset_ = 0;
  rnr_left_ = qp_.attr().rnr_retry;
  retries_left_ = qp_.attr().retry_cnt;
  fault_deadline_ = {};
  bounce_filled_ = false;
  loaded_ = true;
  if (parse(std::span(wqe).first(sq.stride()))) return true;
  core.stats.add(PNIC_STAT_BAD_WQE);
  finish(core, PNIC_CQE_LOC_QP_OP_ERR, PNIC_VERR_WQE);
  return false;
}

bool Requester::parse(std::span<const std::byte> wqe) {
  pnic_sq_wqe head;
  std::memcpy(&head, wqe.data(), sizeof(head));
  const auto body = wqe.subspan(sizeof(head));
  wr_.wr_id = head.wr_id;
  wr_.opcode = head.opcode;
  wr_.flags = head.flags;
  wr_.imm = head.imm;
  wr_.remote_address = head.remote_addr;
  wr_.rkey = head.rkey;
  wr_.num_sge = 0;
  wr_.length = 0;
  if (head.opcode > PNIC_WQE_RDMA_READ || (head.flags & ~PNIC_WQE_FLAGS_MASK) != 0 ||
      head.reserved != 0)
    return false;

  if ((head.flags & PNIC_WQE_INLINE) != 0) {
    if (head.num_sge != 0 || head.opcode == PNIC_WQE_RDMA_READ) return false;
    if (head.inline_len > body.size() || head.inline_len > PNIC_MAX_INLINE) return false;
    std::memcpy(wr_.inline_data.data(), body.data(), head.inline_len);
    wr_.length = head.inline_len;
    return true;
  }
  if (head.num_sge > PNIC_MAX_SGE || head.num_sge * sizeof(pnic_sge) > body.size()) return false;
  std::memcpy(wr_.sges.data(), body.data(), head.num_sge * sizeof(pnic_sge));
  wr_.num_sge = head.num_sge;
  uint64_t total = 0;
  for (uint8_t i = 0; i < head.num_sge; ++i) total += wr_.sges[i].length;
  if (total > PNIC_MAX_MSG_SIZE) return false;
  wr_.length = static_cast<uint32_t>(total);
  return true;
}

void Requester::send_segment(NicCore& core, uint64_t& moved_bytes) {
  if (bounce_filled_) {  // fetched for an earlier attempt
    payload_.clear();
    payload_.push({bounce_.data(), bounce_bus_, static_cast<uint32_t>(bounce_.size())});
  } else {
    if (!build_payload(core)) return;
    if (payload_.remote() && start_local_transfer(core)) return;
  }
  moved_bytes += payload_.bytes();
  transmit(core);
}

/// Collects the memory of the next segment. False: the WR waits, or has failed.
bool Requester::build_payload(NicCore& core) {
  payload_.clear();
  own_region_ = nullptr;
  const uint32_t left = std::min(wr_.length - offset_, kSegmentBytes);
  if ((wr_.flags & PNIC_WQE_INLINE) != 0) {
    if (left > 0) payload_.push({wr_.inline_data.data() + offset_, 0, left});
    return true;
  }
  uint64_t begin = 0;  // of the SGE within the message
  for (uint8_t i = 0; i < wr_.num_sge && payload_.bytes() < left && !payload_.full(); ++i) {
    const pnic_sge& sge = wr_.sges[i];
    const uint64_t at = offset_ + payload_.bytes();
    if (at < begin + sge.length) {
      const uint64_t skip = at - begin;
      const uint64_t take = std::min<uint64_t>(sge.length - skip, left - payload_.bytes());
      if (!append_sge(core, sge, skip, take)) return false;
    }
    begin += sge.length;
  }
  if (payload_.remote()) {
    // A segment is either memory of this process or one piece behind the client.
    uint32_t local = 0;
    while (local < payload_.count() && payload_[local].host != nullptr) ++local;
    payload_.truncate(std::max(local, 1u));
  }
  return true;
}

bool Requester::append_sge(NicCore& core, const pnic_sge& sge, uint64_t skip, uint64_t take) {
  const bool read = kind_of(wr_.opcode) == SegmentKind::kRead;
  const uint32_t needed = read ? PNIC_ACCESS_LOCAL_WRITE : 0;
  // The whole SGE is checked, so that one that reaches out of its MR fails before any of its data
  // has moved.
  Access access =
      check_access(core.regions, sge.lkey, qp_.config().pdn, needed, sge.addr, sge.length);
  if (payload_.count() == 0) bounce_key_ = sge.lkey;  // only a first piece can be behind the client
  if (access.verdict == Access::Verdict::kOk) {
    const uint64_t position = sge.addr - access.region->iova + skip;
    if (!access.region->memory.pieces(core.dma, position, take, read, payload_)) {
      access.verdict = Access::Verdict::kUnreachable;
    }
  }
  if (access.verdict != Access::Verdict::kOk) return own_key_failed(core, access, sge);
  if (access.region->state != MemoryRegion::State::kValid || own_region_ == nullptr)
    own_region_ = access.region;
  return true;
}

/// Always false: for the caller to pass on.
bool Requester::own_key_failed(NicCore& core, const Access& access, const pnic_sge& sge) {
  if (access.verdict == Access::Verdict::kUnreachable) {
    core.stats.add(PNIC_STAT_DMA_UNMAPPED);
    finish(core, PNIC_CQE_LOC_PROT_ERR, PNIC_VERR_DMA);
    return false;
  }
  if (access.verdict == Access::Verdict::kRefused) {
    finish(core, PNIC_CQE_LOC_PROT_ERR, access.why);
    return false;
  }
  const auto now = Clock::now();
  if (fault_deadline_ == Clock::time_point{}) {
    fault_deadline_ = now + Limits::kFaultTimeout;
    fault_pause_ = kFirstFaultPause;
  }
  if (now >= fault_deadline_) {
    core.stats.add(PNIC_STAT_MR_FAULT_TIMEOUT);
    finish(core, PNIC_CQE_LOC_PROT_ERR, PNIC_VERR_FAULT_TIMEOUT);
    return false;
  }
  fault_key_ = sge.lkey;
  core.raise_fault(*access.region, qp_.qpn(), sge.addr, sge.length,
                   kind_of(wr_.opcode) == SegmentKind::kRead);
  wait_until(Wait::kFault, fault_deadline_);
  return false;
}

void Requester::on_region_changed(uint32_t key) noexcept {
  if (wait_ == Wait::kFault && fault_key_ == key) wake_at_ = {};
}

void Requester::on_fault_done(uint32_t key) noexcept {
  if (wait_ != Wait::kFault || fault_key_ != key) return;
  wake_at_ = std::min(Clock::now() + fault_pause_, fault_deadline_);
  fault_pause_ = std::min(fault_pause_ * 2, kLastFaultPause);
}

/// Fetches the payload of a SEND or WRITE from behind the client, or makes room for READ's. True:
/// the segment waits, or has failed.
bool Requester::start_local_transfer(NicCore& core) {
  const Piece piece = payload_[0];
  const uint32_t limit = std::min(kRemoteSegmentBytes, core.remote.max_bytes());
  const uint32_t length = std::min(piece.length, limit);
  MemoryRegion* region = core.regions.find(bounce_key_);
  bounce_.resize(length);
  bounce_bus_ = piece.bus;
  if (kind_of(wr_.opcode) == SegmentKind::kRead && length > 0) {
    bounce_filled_ = true;
    payload_.clear();
    payload_.push({bounce_.data(), piece.bus, length});
    return false;
  }
  const RemoteDma::Owner owner{RemoteDma::Role::kRequester, qp_.qpn(), qp_.epoch()};
  if (region != nullptr && length > 0 &&
      core.remote.start_read(*region, piece.bus, length, owner)) {
    wait_until(Wait::kTransfer, Clock::time_point::max());
  } else {
    finish(core, PNIC_CQE_LOC_PROT_ERR, PNIC_VERR_DMA);
  }
  return true;
}

void Requester::on_transfer_lost() noexcept {
  if (wait_ != Wait::kTransfer) return;
  wait_ = Wait::kNone;
  bounce_filled_ = false;
}

void Requester::on_transfer_done(NicCore& core, int error, std::span<const std::byte> data) {
  if (wait_ != Wait::kTransfer) return;
  wait_ = Wait::kNone;
  if (error != 0) return finish(core, PNIC_CQE_LOC_PROT_ERR, PNIC_VERR_DMA);
  if (kind_of(wr_.opcode) == SegmentKind::kRead) {
    bounce_filled_ = false;
    return advance(core);
  }
  bounce_.assign(data.begin(), data.end());
  bounce_filled_ = true;
  payload_.clear();
  payload_.push({bounce_.data(), bounce_bus_, static_cast<uint32_t>(bounce_.size())});
  transmit(core);
}

void Requester::transmit(NicCore& core) {
  core.check_fence(own_region_);
  Segment segment;
  segment.kind = kind_of(wr_.opcode);
  segment.length = static_cast<uint32_t>(payload_.bytes());
  segment.message_length = wr_.length;
  segment.message_offset = offset_;
  segment.last = offset_ + segment.length == wr_.length;
  segment.has_imm =
      wr_.opcode == PNIC_WQE_SEND_WITH_IMM || wr_.opcode == PNIC_WQE_RDMA_WRITE_WITH_IMM;
  segment.solicited = (wr_.flags & PNIC_WQE_SOLICITED) != 0;
  segment.imm = wr_.imm;
  segment.sequence = sequence_;
  segment.source_qpn = qp_.qpn();
  segment.dest_qpn = qp_.attr().dest_qpn;
  segment.source = &core.port;
  segment.remote_address = wr_.remote_address;
  segment.rkey = wr_.rkey;
  segment.payload = &payload_;
  const pnic_av to = qp_.attr().av;
  handle(core, core.wire->send(to, segment));
}

void Requester::handle(NicCore& core, const Answer& answer) {
  switch (answer.kind) {
    case AnswerKind::kAck:
      return acknowledged(core);
    case AnswerKind::kPending:
      return wait_until(Wait::kAnswer, Clock::now() + kAnswerReminder);
    case AnswerKind::kRnrNak:
      core.stats.add(PNIC_STAT_RNR_NAK_RX);
      if (qp_.attr().rnr_retry != 7) {
        if (rnr_left_ == 0) return finish(core, PNIC_CQE_RNR_RETRY_EXC_ERR, PNIC_VERR_NONE);
        --rnr_left_;
      }
      return wait_until(Wait::kRnr, Clock::now() + rnr_delay(answer.rnr_timer));
    case AnswerKind::kSilence: {
      const uint8_t code = qp_.attr().timeout;
      const auto timeout = std::chrono::nanoseconds(uint64_t{4096} << code);
      return wait_until(Wait::kTimeout,
                        code == 0 ? Clock::time_point::max() : Clock::now() + timeout);
    }
    case AnswerKind::kNakInvalidRequest:
      return finish(core, PNIC_CQE_REM_INV_REQ_ERR, PNIC_VERR_NONE);
    case AnswerKind::kNakRemoteAccess:
      return finish(core, PNIC_CQE_REM_ACCESS_ERR, PNIC_VERR_NONE);
    case AnswerKind::kNakRemoteOperation:
      return finish(core, PNIC_CQE_REM_OP_ERR, PNIC_VERR_NONE);
  }
}

void Requester::on_answer(NicCore& core, uint32_t sequence, const Answer& answer,
                          std::span<const std::byte> data) {
  const bool expected = wait_ == Wait::kAnswer || wait_ == Wait::kTimeout;
  if (!expected || sequence != sequence_) return;
  wait_ = Wait::kNone;
  if (answer.kind == AnswerKind::kAck && kind_of(wr_.opcode) == SegmentKind::kRead &&
      !data.empty()) {
    // Time has passed: the memory for the data is looked up afresh.
    if (!bounce_filled_ && !build_payload(core)) return;
    if (payload_.remote() || payload_.bytes() < data.size()) {
      return finish(core, PNIC_CQE_LOC_PROT_ERR, PNIC_VERR_DMA);
    }
    core.check_fence(own_region_);
    PieceList target;
    uint64_t left = data.size();
    for (uint32_t i = 0; i < payload_.count() && left > 0; ++i) {
      Piece piece = payload_[i];
      piece.length = static_cast<uint32_t>(std::min<uint64_t>(piece.length, left));
      left -= piece.length;
      target.push(piece);
    }
    scatter(data.data(), target);
    payload_ = target;
  }
  handle(core, answer);
}

void Requester::acknowledged(NicCore& core) {
  rnr_left_ = qp_.attr().rnr_retry;
  retries_left_ = qp_.attr().retry_cnt;
  fault_deadline_ = {};
  const bool read = kind_of(wr_.opcode) == SegmentKind::kRead;
  core.stats.add(read ? PNIC_STAT_RX_BYTES : PNIC_STAT_TX_BYTES, payload_.bytes());
  if (read && bounce_filled_) {
    MemoryRegion* region = core.regions.find(bounce_key_);
    const RemoteDma::Owner owner{RemoteDma::Role::kRequester, qp_.qpn(), qp_.epoch()};
    const bool valid = region != nullptr && region->state == MemoryRegion::State::kValid;
    if (valid && core.remote.start_write(*region, bounce_bus_, bounce_, owner)) {
      return wait_until(Wait::kTransfer, Clock::time_point::max());
    }
    return finish(core, PNIC_CQE_LOC_PROT_ERR, PNIC_VERR_DMA);
  }
  bounce_filled_ = false;
  advance(core);
}

void Requester::advance(NicCore& core) {
  offset_ += static_cast<uint32_t>(payload_.bytes());
  ++sequence_;
  if (offset_ == wr_.length) finish(core, PNIC_CQE_SUCCESS, PNIC_VERR_NONE);
}

void Requester::finish(NicCore& core, pnic_cqe_status status, pnic_vendor_error why) {
  WorkRing& sq = qp_.sq();
  pnic_cqe cqe{};
  cqe.wr_id = wr_.wr_id;
  cqe.byte_len = wr_.length;
  cqe.wqe_index = sq.consumed;
  cqe.opcode = static_cast<uint8_t>(cqe_opcode_of(wr_.opcode));
  cqe.status = static_cast<uint8_t>(status);
  cqe.vendor_err = static_cast<uint8_t>(why);
  const bool signaled = (wr_.flags & PNIC_WQE_SIGNALED) != 0 || qp_.config().signal_all;
  if (status == PNIC_CQE_SUCCESS) core.stats.add(stat_of(wr_.opcode));
  ++sq.consumed;
  ++sequence_;
  loaded_ = false;
  wait_ = Wait::kNone;
  bounce_filled_ = false;
  if (status == PNIC_CQE_SUCCESS && !signaled) return;
  qp_.complete(core, *qp_.config().send_cq, cqe);
  if (status != PNIC_CQE_SUCCESS) qp_.enter_error();
}

}  // namespace peermr::nic
