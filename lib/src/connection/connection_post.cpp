// SPDX-License-Identifier: BSD-2-Clause
//
// From the logs to the queue pair.
#include <endian.h>

#include <cerrno>

#include "base/checked.hpp"
#include "connection/connection_core.hpp"
#include "connection/work_number.hpp"

namespace peermr::detail {
namespace {

ibv_wr_opcode opcode_of(Operation operation) noexcept {
  switch (operation) {
    case Operation::kWrite:
      return IBV_WR_RDMA_WRITE;
    case Operation::kWriteWithImmediate:
      return IBV_WR_RDMA_WRITE_WITH_IMM;
    case Operation::kSend:
      return IBV_WR_SEND;
    case Operation::kSendWithImmediate:
      return IBV_WR_SEND_WITH_IMM;
    case Operation::kFetchAdd:
      return IBV_WR_ATOMIC_FETCH_AND_ADD;
    case Operation::kCompareSwap:
      return IBV_WR_ATOMIC_CMP_AND_SWP;
    default:
      return IBV_WR_RDMA_READ;
  }
}

void name_memory(ibv_send_wr& request, const WorkRequest& work, const RegionDescriptor& region) {
  const std::uint64_t address = region.address.value() + work.offset_bytes;
  if (!is_atomic(work.operation)) {
    request.wr.rdma.remote_addr = address;
    request.wr.rdma.rkey = region.rkey.value();
    return;
  }
  request.wr.atomic.remote_addr = address;
  request.wr.atomic.rkey = region.rkey.value();
  const bool swap = work.operation == Operation::kCompareSwap;
  request.wr.atomic.compare_add = swap ? work.compare : work.operand;
  request.wr.atomic.swap = swap ? work.operand : 0;
}

}  // namespace

void ConnectionCore::pump() {
  if (death_ || holding_ || !handshake_.live()) return;
  while (ReplayLog::Entry* entry = sends_.next_to_post()) {
    if (!post_entry(*entry)) return;
  }
}

/// False: it, and what is behind it, has to wait.
bool ConnectionCore::post_entry(ReplayLog::Entry& entry) {
  const WorkRequest& work = entry.work;
  if (names_region(work.operation) &&
      regions_.at(entry.region).descriptor.state != DescriptorState::kLive) {
    return false;
  }
  if (work.operation == Operation::kPlace) {
    ibv_sge one = port_->scratch();
    one.length = 1;
    return submit(entry, one);
  }
  ibv_sge local{.addr = work.local.address,
                .length = work.local.length_bytes,
                .lkey = work.local.lkey.value()};
  if (work.local.region == nullptr) return submit(entry, local);
  const Lease lease = work.local.region->lease();
  if (!lease) {
    stalled_ = true;
    if (work.local.region->state() == RegionState::kDead) fail_waiting(entry, IBV_WC_LOC_PROT_ERR);
    return false;
  }
  if (!range_in<std::uint64_t>(local.addr, local.length, lease->length_bytes)) {
    fail_waiting(entry, IBV_WC_LOC_LEN_ERR);
    return false;
  }
  local.addr += lease->address.value();
  local.lkey = lease->lkey.value();
  entry.local_generation = lease->generation;
  return submit(entry, local);
}

bool ConnectionCore::submit(ReplayLog::Entry& entry, const ibv_sge& local) {
  const WorkRequest& work = entry.work;
  ibv_sge sge = local;
  ibv_send_wr request{};
  request.wr_id = send_wr_id(entry.number);
  request.sg_list = &sge;
  request.num_sge = local.length != 0 ? 1 : 0;
  request.opcode = opcode_of(work.operation);
  request.send_flags = IBV_SEND_SIGNALED;
  request.imm_data = htobe32(work.immediate);
  if (names_region(work.operation)) {
    const RegionDescriptor& region = regions_.at(entry.region).descriptor;
    if (!range_in<std::uint64_t>(work.offset_bytes, local.length, region.length_bytes)) {
      fail_waiting(entry, IBV_WC_LOC_LEN_ERR);  // it has become shorter
      return false;
    }
    name_memory(request, work, region);
    entry.generation = region.generation;
    entry.key_epoch = region.key_epoch;
  }
  const int error = port_->post_send(request);
  if (error == 0) {
    sends_.posted(entry);
    return true;
  }
  stalled_ = true;
  if (error != ENOMEM) failure_ = errno_error(error, "post to", "queue pair");
  return false;
}

void ConnectionCore::fail_waiting(const ReplayLog::Entry& entry, ibv_wc_status why) {
  sends_.give_back(
      [&entry](const ReplayLog::Entry& other) {
        return other.number == entry.number ? ReplayLog::Verdict::kFail
                                            : ReplayLog::Verdict::kReplay;
      },
      why);
}

void ConnectionCore::pump_receives() {
  // Receives are posted from INIT on: while the queue pair is drained they would be flushed.
  if (death_ || !open_) return;
  while (ReceiveLog::Entry* entry = receives_.next_to_post()) {
    if (!post_receive_entry(*entry)) return;
  }
}

bool ConnectionCore::post_receive_entry(ReceiveLog::Entry& entry) {
  ibv_sge local{.addr = entry.local.address,
                .length = entry.local.length_bytes,
                .lkey = entry.local.lkey.value()};
  ibv_recv_wr request{};
  request.wr_id = receive_wr_id(entry.number);
  request.sg_list = &local;
  request.num_sge = local.length != 0 ? 1 : 0;
  const auto submit = [&] {
    const int error = port_->post_receive(request);
    if (error == 0) {
      receives_.posted(entry);
      return true;
    }
    stalled_ = true;
    if (error != ENOMEM) failure_ = errno_error(error, "post receive to", "queue pair");
    return false;
  };
  if (entry.local.region == nullptr) return submit();
  const Lease lease = entry.local.region->lease();
  if (!lease || !range_in<std::uint64_t>(local.addr, local.length, lease->length_bytes)) {
    // It waits, and the peer's message with it: a receive cannot be given back on its own.
    stalled_ = true;
    return false;
  }
  local.addr += lease->address.value();
  local.lkey = lease->lkey.value();
  entry.local_generation = lease->generation;
  return submit();
}

}  // namespace peermr::detail
