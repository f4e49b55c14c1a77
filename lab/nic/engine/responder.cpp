// SPDX-License-Identifier: BSD-2-Clause
#include "responder.hpp"

#include <algorithm>
#include <cstring>

#include "nic_core.hpp"

namespace peermr::nic {

namespace {

constexpr Answer kAck{AnswerKind::kAck, 0};
constexpr Answer kSilence{AnswerKind::kSilence, 0};
constexpr Answer kRemoteAccess{AnswerKind::kNakRemoteAccess, 0};
constexpr Answer kRemoteOperation{AnswerKind::kNakRemoteOperation, 0};
constexpr Answer kInvalidRequest{AnswerKind::kNakInvalidRequest, 0};

}  // namespace

void Responder::reset() noexcept {
  receive_.loaded = false;
  next_offset_ = 0;
  established_ = false;
  pending_ = false;
}

Answer Responder::on_segment(NicCore& core, const Segment& segment) {
  const bool talks = qp_.state() == PNIC_QPS_RTR || qp_.state() == PNIC_QPS_RTS;
  if (!talks || qp_.attr().dest_qpn != segment.source_qpn || segment.source == nullptr ||
      !names_port(qp_.attr().av, *segment.source)) {
    return kSilence;
  }
  // The reminder of a segment that still waits for the client.
  if (pending_)
    return segment.sequence == saved_.sequence ? Answer{AnswerKind::kPending, 0} : kSilence;
  // A requester that was reset in the middle of a message begins anew; this side has to be reset
  // too, as with PSNs that do not fit.
  if (segment.kind != SegmentKind::kRead && segment.message_offset != next_offset_) return kSilence;
  if (qp_.state() == PNIC_QPS_RTR && !established_) {
    established_ = true;
    qp_.post_event(core, PNIC_QP_EVENT_COMM_EST);
  }
  target_.clear();
  region_ = nullptr;
  if (segment.kind == SegmentKind::kSend) {
    if (!load_receive(core) || !room_for(core, segment) || !target_of_send(core, segment))
      return answer_;
  } else {
    if (segment.message_length > 0 && !target_of_rdma(core, segment)) return answer_;
    const bool takes_receive =
        segment.kind == SegmentKind::kWrite && segment.last && segment.has_imm;
    if (takes_receive && !load_receive(core)) return answer_;
  }
  return move_data(core, segment);
}

bool Responder::refuse(const Answer& answer) noexcept {
  answer_ = answer;
  return false;
}

bool Responder::fault(NicCore& core, MemoryRegion& region, uint64_t address, uint64_t length,
                      bool write) {
  core.raise_fault(region, qp_.qpn(), address, length, write);
  core.stats.add(PNIC_STAT_RNR_NAK_TX);
  return refuse({AnswerKind::kRnrNak, qp_.attr().min_rnr_timer});
}

bool Responder::access_error(NicCore& core) {
  core.stats.add(PNIC_STAT_ACCESS_ERROR);
  qp_.enter_error();
  qp_.post_event(core, PNIC_QP_EVENT_ACCESS_ERR);
  return refuse(kRemoteAccess);
}

bool Responder::unreachable(NicCore& core) {
  core.stats.add(PNIC_STAT_DMA_UNMAPPED);
  qp_.enter_error();
  qp_.post_event(core, PNIC_QP_EVENT_FATAL);
  return refuse(kRemoteOperation);
}

/// The receive under way completes with an error, and the QP goes with it.
bool Responder::receive_failed(NicCore& core, pnic_cqe_status status, pnic_vendor_error why) {
  pnic_cqe cqe{};
  cqe.wr_id = receive_.wr_id;
  cqe.wqe_index = qp_.rq().consumed++;
  cqe.opcode = static_cast<uint8_t>(PNIC_CQE_RECV);
  cqe.status = static_cast<uint8_t>(status);
  cqe.vendor_err = static_cast<uint8_t>(why);
  qp_.complete(core, *qp_.config().recv_cq, cqe);
  qp_.enter_error();
  return refuse(status == PNIC_CQE_LOC_LEN_ERR ? kInvalidRequest : kRemoteOperation);
}

bool Responder::load_receive(NicCore& core) {
  if (receive_.loaded) return true;
  WorkRing& rq = qp_.rq();
  const uint32_t posted = qp_.posted(core, rq, qp_.doorbell().high);
  if (qp_.state() == PNIC_QPS_ERR) return refuse(kRemoteOperation);
  if (posted == 0) {
    core.stats.add(PNIC_STAT_RNR_NAK_TX);
    return refuse({AnswerKind::kRnrNak, qp_.attr().min_rnr_timer});
  }
  std::array<std::byte, 1u << PNIC_RQ_STRIDE_SHIFT_MAX> wqe;
  if (!rq.memory.read(core.dma, rq.position(rq.consumed), wqe.data(), rq.stride())) {
    core.stats.add(PNIC_STAT_DMA_UNMAPPED);
    qp_.fail_ring(core, rq);
    return refuse(kRemoteOperation);
  }
  pnic_rq_wqe head;
  std::memcpy(&head, wqe.data(), sizeof(head));
  receive_.wr_id = head.wr_id;
  receive_.loaded = true;
  receive_.capacity = 0;
  const size_t fits = (rq.stride() - sizeof(head)) / sizeof(pnic_sge);
  if (head.reserved != 0 || head.num_sge > PNIC_MAX_SGE || head.num_sge > fits) {
    core.stats.add(PNIC_STAT_BAD_WQE);
    return receive_failed(core, PNIC_CQE_LOC_QP_OP_ERR, PNIC_VERR_WQE);
  }
  receive_.num_sge = static_cast<uint8_t>(head.num_sge);
  std::memcpy(receive_.sges.data(), wqe.data() + sizeof(head), head.num_sge * sizeof(pnic_sge));
  for (uint8_t i = 0; i < receive_.num_sge; ++i) receive_.capacity += receive_.sges[i].length;
  return true;
}

bool Responder::target_of_rdma(NicCore& core, const Segment& segment) {
  const bool write = segment.kind == SegmentKind::kWrite;
  const uint32_t needed = write ? PNIC_ACCESS_REMOTE_WRITE : PNIC_ACCESS_REMOTE_READ;
  if ((qp_.attr().access & needed) == 0) return access_error(core);
  // The whole message is checked with each of its segments: the MR may have changed between them.
  const Access access = check_access(core.regions, segment.rkey, qp_.config().pdn, needed,
                                     segment.remote_address, segment.message_length);
  if (access.verdict == Access::Verdict::kRefused) return access_error(core);
  const uint64_t address = segment.remote_address + segment.message_offset;
  if (access.verdict == Access::Verdict::kFault)
    return fault(core, *access.region, address, segment.length, write);
  region_ = access.region;
  const uint64_t position = address - region_->iova;
  return region_->memory.pieces(core.dma, position, segment.length, write, target_) ||
         unreachable(core);
}

bool Responder::room_for(NicCore& core, const Segment& segment) {
  return segment.message_length <= receive_.capacity ||
         receive_failed(core, PNIC_CQE_LOC_LEN_ERR, PNIC_VERR_RECV_TOO_SMALL);
}

bool Responder::target_of_send(NicCore& core, const Segment& segment) {
  uint64_t begin = 0;  // of the SGE within the receive
  for (uint8_t i = 0; i < receive_.num_sge && target_.bytes() < segment.length; ++i) {
    const pnic_sge& sge = receive_.sges[i];
    const uint64_t at = segment.message_offset + target_.bytes();
    if (at < begin + sge.length) {
      const Access access = check_access(core.regions, sge.lkey, qp_.config().pdn,
                                         PNIC_ACCESS_LOCAL_WRITE, sge.addr, sge.length);
      if (access.verdict == Access::Verdict::kRefused)
        return receive_failed(core, PNIC_CQE_LOC_PROT_ERR, access.why);
      if (access.verdict == Access::Verdict::kFault)
        return fault(core, *access.region, sge.addr, sge.length, true);
      const uint64_t skip = at - begin;
      const uint64_t take = std::min<uint64_t>(sge.length - skip, segment.length - target_.bytes());
      const uint64_t position = sge.addr - access.region->iova + skip;
      if (!access.region->memory.pieces(core.dma, position, take, true, target_))
        return unreachable(core);
      if (region_ == nullptr || access.region->state != MemoryRegion::State::kValid)
        region_ = access.region;
    }
    begin += sge.length;
  }
  return true;
}

Answer Responder::move_data(NicCore& core, const Segment& segment) {
  if (target_.remote()) return move_remote(core, segment);
  if (target_.bytes() != segment.length || segment.payload->bytes() != segment.length) {
    unreachable(
        core);  // more pieces than a segment can have: the device's own limits do not allow it
    return answer_;
  }
  core.check_fence(region_);
  if (segment.kind == SegmentKind::kRead) {
    copy_pieces(target_, *segment.payload);
  } else {
    copy_pieces(*segment.payload, target_);
  }
  return segment_done(core, segment);
}

/// The data of a segment goes to, or comes from, memory behind the client: one piece, one message,
/// one late answer.
Answer Responder::move_remote(NicCore& core, const Segment& segment) {
  const RemoteDma::Owner owner{RemoteDma::Role::kResponder, qp_.qpn(), qp_.epoch()};
  const Piece piece = target_[0];
  bool started = false;
  if (target_.count() == 1 && piece.length == segment.length &&
      piece.length <= core.remote.max_bytes()) {
    core.check_fence(region_);
    if (segment.kind == SegmentKind::kRead) {
      started = core.remote.start_read(*region_, piece.bus, piece.length, owner);
    } else {
      bounce_.resize(segment.length);
      gather(*segment.payload, bounce_.data());
      started = core.remote.start_write(*region_, piece.bus, bounce_, owner);
    }
  }
  if (!started) {
    unreachable(core);
    return answer_;
  }
  pending_ = true;
  saved_ = segment;
  saved_.payload = nullptr;
  saved_.source = nullptr;
  saved_lid_ = segment.source->lid;
  return {AnswerKind::kPending, 0};
}

void Responder::on_transfer_lost(NicCore& core) {
  if (!pending_) return;
  pending_ = false;
  core.wire->answer(saved_lid_, saved_.source_qpn, saved_.sequence, kSilence, {});
}

void Responder::on_transfer_done(NicCore& core, int error, std::span<const std::byte> data) {
  if (!pending_) return;
  pending_ = false;
  const Segment segment = saved_;
  const uint16_t lid = saved_lid_;
  Answer answer;
  if (error != 0 || (segment.kind == SegmentKind::kRead && data.size() != segment.length)) {
    unreachable(core);
    answer = answer_;
  } else {
    answer = segment_done(core, segment);
  }
  core.wire->answer(lid, segment.source_qpn, segment.sequence, answer,
                    segment.kind == SegmentKind::kRead ? data : std::span<const std::byte>{});
}

Answer Responder::segment_done(NicCore& core, const Segment& segment) {
  if (segment.kind == SegmentKind::kRead) {
    core.stats.add(PNIC_STAT_TX_BYTES, segment.length);
    return kAck;
  }
  core.stats.add(PNIC_STAT_RX_BYTES, segment.length);
  next_offset_ = segment.last ? 0 : segment.message_offset + segment.length;
  const bool takes_receive = segment.kind == SegmentKind::kSend || segment.has_imm;
  if (!segment.last || !takes_receive) return kAck;
  return complete_receive(core, segment) ? kAck : kRemoteOperation;
}

bool Responder::complete_receive(NicCore& core, const Segment& segment) {
  pnic_cqe cqe{};
  cqe.wr_id = receive_.wr_id;
  cqe.byte_len = segment.message_length;
  cqe.wqe_index = qp_.rq().consumed++;
  cqe.imm = segment.imm;
  cqe.src_qp = segment.source_qpn;
  cqe.opcode = static_cast<uint8_t>(
      segment.kind == SegmentKind::kSend ? PNIC_CQE_RECV : PNIC_CQE_RECV_RDMA_WITH_IMM);
  cqe.status = PNIC_CQE_SUCCESS;
  cqe.flags = static_cast<uint8_t>((segment.has_imm ? PNIC_CQE_FLAG_IMM : 0u) |
                                   (segment.solicited ? PNIC_CQE_FLAG_SOLICITED : 0u));
  receive_.loaded = false;
  return qp_.complete(core, *qp_.config().recv_cq, cqe);
}

}  // namespace peermr::nic
