// SPDX-License-Identifier: BSD-2-Clause
#include "object_commands.hpp"

#include <algorithm>

#include "nic_core.hpp"
#include "page_list.hpp"

namespace peermr::nic {

namespace {

CommandResult done(pnic_cmd_status status, uint64_t result = 0) {
  return {CommandResult::Kind::kDone, status, result, 0};
}

template <size_t kCount>
bool all_zero(const __u8 (&bytes)[kCount]) {
  return std::all_of(std::begin(bytes), std::end(bytes), [](__u8 b) { return b == 0; });
}

CommandResult alloc_pd(NicCore& core) {
  if (core.pds.full()) return done(PNIC_CMD_NO_RESOURCE);
  const uint32_t pdn = core.pds.next();
  core.pds.put(pdn, std::make_unique<ProtectionDomain>(ProtectionDomain{pdn, 0}));
  return done(PNIC_CMD_OK, pdn);
}

CommandResult free_pd(NicCore& core, uint32_t handle) {
  const ProtectionDomain* pd = core.pds.find(handle);
  if (pd == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  if (pd->users > 0) return done(PNIC_CMD_BUSY);
  core.pds.remove(handle);
  return done(PNIC_CMD_OK);
}

CommandResult alloc_uar(NicCore& core) {
  const uint32_t uar = core.doorbells.alloc_uar();
  return uar == 0 ? done(PNIC_CMD_NO_RESOURCE) : done(PNIC_CMD_OK, uar);
}

CommandResult free_uar(NicCore& core, uint32_t uar) {
  if (!core.doorbells.is_allocated(uar)) return done(PNIC_CMD_BAD_HANDLE);
  if (core.uar_users[uar] > 0) return done(PNIC_CMD_BUSY);
  core.doorbells.free_uar(uar);
  return done(PNIC_CMD_OK);
}

/// Reads a ring's page list and books its pages.
pnic_cmd_status take_ring(NicCore& core, const pnic_page_list& pages, uint64_t bytes,
                          GuestBuffer& ring) {
  const pnic_cmd_status status =
      read_page_list(core.dma, pages, bytes, core.regions.page_budget(), ring);
  if (status == PNIC_CMD_OK) core.regions.count_pages(ring.num_pages(), 0);
  return status;
}

CommandResult create_eq(NicCore& core, const pnic_cmd_create_eq& c) {
  if (c.vector >= PNIC_NUM_VECTORS || c.slot >= PNIC_UAR_SLOTS || c.log_size < PNIC_EQ_LOG_MIN ||
      c.log_size > PNIC_EQ_LOG_MAX || !all_zero(c.reserved)) {
    return done(PNIC_CMD_BAD_PARAM);
  }
  if (!core.doorbells.is_allocated(c.uar)) return done(PNIC_CMD_BAD_HANDLE);
  if (core.eqs.full()) return done(PNIC_CMD_NO_RESOURCE);
  GuestBuffer ring;
  const pnic_cmd_status status = take_ring(core, c.pages, sizeof(pnic_eqe) << c.log_size, ring);
  if (status != PNIC_CMD_OK) return done(status);
  const uint32_t eqn = core.eqs.next();
  const RingSlot place{c.uar, core.doorbells.slot(c.uar, c.slot), c.log_size};
  core.eqs.put(eqn, std::make_unique<EventQueue>(eqn, c.vector, place, std::move(ring)));
  ++core.uar_users[c.uar];
  return done(PNIC_CMD_OK, eqn);
}

CommandResult destroy_eq(NicCore& core, uint32_t handle) {
  const EventQueue* eq = core.eqs.find(handle);
  if (eq == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  if (eq->users > 0) return done(PNIC_CMD_BUSY);
  --core.uar_users[eq->uar];
  core.regions.count_pages(0, eq->num_pages());
  // Events that wait in it are lost, so that others may be raised in their place.
  for (QueuePair* qp : core.qps.live()) qp->events_lost();
  core.regions.for_each([](MemoryRegion& region) { region.fault_pending = false; });
  core.eqs.remove(handle);
  return done(PNIC_CMD_OK);
}

CommandResult create_cq(NicCore& core, const pnic_cmd_create_cq& c) {
  if (c.slot >= PNIC_UAR_SLOTS || c.log_size > PNIC_CQ_LOG_MAX || !all_zero(c.reserved)) {
    return done(PNIC_CMD_BAD_PARAM);
  }
  EventQueue* eq = core.eqs.find(c.eqn);
  if (eq == nullptr || !core.doorbells.is_allocated(c.uar)) return done(PNIC_CMD_BAD_HANDLE);
  if (core.cqs.full()) return done(PNIC_CMD_NO_RESOURCE);
  GuestBuffer ring;
  const pnic_cmd_status status = take_ring(core, c.pages, sizeof(pnic_cqe) << c.log_size, ring);
  if (status != PNIC_CMD_OK) return done(status);
  const uint32_t cqn = core.cqs.next();
  const RingSlot place{c.uar, core.doorbells.slot(c.uar, c.slot), c.log_size};
  core.cqs.put(cqn, std::make_unique<CompletionQueue>(cqn, eq, place, std::move(ring)));
  ++eq->users;
  ++core.uar_users[c.uar];
  return done(PNIC_CMD_OK, cqn);
}

CommandResult destroy_cq(NicCore& core, uint32_t handle) {
  const CompletionQueue* cq = core.cqs.find(handle);
  if (cq == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  if (cq->users > 0) return done(PNIC_CMD_BUSY);
  cq->eq->forget(PNIC_EVENT_COMPLETION, handle);
  for (EventQueue* eq : core.eqs.live()) eq->forget(PNIC_EVENT_CQ_ERROR, handle);
  --cq->eq->users;
  --core.uar_users[cq->uar];
  core.regions.count_pages(0, cq->num_pages());
  core.cqs.remove(handle);
  return done(PNIC_CMD_OK);
}

/// The checks of CREATE_QP that look at nothing but the command.
pnic_cmd_status check_create_qp(const pnic_cmd_create_qp& c) {
  if (c.type == PNIC_QPT_UD) return PNIC_CMD_NOT_SUPPORTED;
  if (c.type != PNIC_QPT_RC || (c.flags & ~PNIC_QP_SQ_SIG_ALL) != 0 || c.reserved != 0)
    return PNIC_CMD_BAD_PARAM;
  if (c.slot >= PNIC_UAR_SLOTS || c.sq_log_size > PNIC_QP_LOG_MAX ||
      c.rq_log_size > PNIC_QP_LOG_MAX) {
    return PNIC_CMD_BAD_PARAM;
  }
  if (c.sq_stride_shift < PNIC_SQ_STRIDE_SHIFT_MIN ||
      c.sq_stride_shift > PNIC_SQ_STRIDE_SHIFT_MAX ||
      c.rq_stride_shift < PNIC_RQ_STRIDE_SHIFT_MIN ||
      c.rq_stride_shift > PNIC_RQ_STRIDE_SHIFT_MAX) {
    return PNIC_CMD_BAD_PARAM;
  }
  return c.srqn == PNIC_NO_SRQ ? PNIC_CMD_OK : PNIC_CMD_NOT_SUPPORTED;
}

CommandResult create_qp(NicCore& core, const pnic_cmd_create_qp& c) {
  if (const pnic_cmd_status status = check_create_qp(c); status != PNIC_CMD_OK) return done(status);
  ProtectionDomain* pd = core.pds.find(c.pdn);
  CompletionQueue* send_cq = core.cqs.find(c.scqn);
  CompletionQueue* recv_cq = core.cqs.find(c.rcqn);
  if (pd == nullptr || send_cq == nullptr || recv_cq == nullptr ||
      !core.doorbells.is_allocated(c.uar)) {
    return done(PNIC_CMD_BAD_HANDLE);
  }
  if (core.qps.full()) return done(PNIC_CMD_NO_RESOURCE);
  WorkRing sq;
  WorkRing rq;
  sq.log_size = c.sq_log_size;
  sq.stride_shift = c.sq_stride_shift;
  rq.log_size = c.rq_log_size;
  rq.stride_shift = c.rq_stride_shift;
  pnic_cmd_status status = take_ring(core, c.sq, uint64_t{sq.size()} << sq.stride_shift, sq.memory);
  if (status != PNIC_CMD_OK) return done(status);
  status = take_ring(core, c.rq, uint64_t{rq.size()} << rq.stride_shift, rq.memory);
  if (status != PNIC_CMD_OK) {
    core.regions.count_pages(0, sq.memory.num_pages());
    return done(status);
  }
  const uint32_t qpn = core.qps.next();
  QueuePair::Config config;
  config.qpn = qpn;
  config.pdn = c.pdn;
  config.send_cq = send_cq;
  config.recv_cq = recv_cq;
  config.uar = c.uar;
  config.slot = core.doorbells.slot(c.uar, c.slot);
  config.signal_all = (c.flags & PNIC_QP_SQ_SIG_ALL) != 0;
  core.qps.put(qpn, std::make_unique<QueuePair>(config, std::move(sq), std::move(rq)));
  ++pd->users;
  ++send_cq->users;
  ++recv_cq->users;
  ++core.uar_users[c.uar];
  return done(PNIC_CMD_OK, qpn);
}

CommandResult modify_qp(NicCore& core, const pnic_cmd_modify_qp& c) {
  QueuePair* qp = core.qps.find(c.qpn);
  if (qp == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  return done(qp->modify(core, c.mask, c.attr));
}

CommandResult destroy_qp(NicCore& core, uint32_t handle) {
  const QueuePair* qp = core.qps.find(handle);
  if (qp == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  const QueuePair::Config& config = qp->config();
  for (EventQueue* eq : core.eqs.live()) eq->forget(PNIC_EVENT_QP, handle);
  if (ProtectionDomain* pd = core.pds.find(config.pdn)) --pd->users;
  --config.send_cq->users;
  --config.recv_cq->users;
  --core.uar_users[config.uar];
  core.regions.count_pages(0, qp->num_pages());
  core.remote.forget(handle);
  core.qps.remove(handle);
  return done(PNIC_CMD_OK);
}

}  // namespace

CommandResult execute_object_command(NicCore& core, const pnic_cmd& command) {
  const auto& u = command.u;
  switch (command.hdr.opcode) {
    case PNIC_CMD_ALLOC_PD:
      return alloc_pd(core);
    case PNIC_CMD_ALLOC_UAR:
      return alloc_uar(core);
    case PNIC_CMD_CREATE_EQ:
      return create_eq(core, u.create_eq);
    case PNIC_CMD_CREATE_CQ:
      return create_cq(core, u.create_cq);
    case PNIC_CMD_CREATE_QP:
      return create_qp(core, u.create_qp);
    case PNIC_CMD_MODIFY_QP:
      return modify_qp(core, u.modify_qp);
    case PNIC_CMD_FREE_PD:
    case PNIC_CMD_FREE_UAR:
    case PNIC_CMD_DESTROY_EQ:
    case PNIC_CMD_DESTROY_CQ:
    case PNIC_CMD_DESTROY_QP:
      break;
    default:
      return done(PNIC_CMD_BAD_OPCODE);
  }
  const uint32_t handle = u.object.handle;
  if (u.object.reserved != 0) return done(PNIC_CMD_BAD_PARAM);
  switch (command.hdr.opcode) {
    case PNIC_CMD_FREE_PD:
      return free_pd(core, handle);
    case PNIC_CMD_FREE_UAR:
      return free_uar(core, handle);
    case PNIC_CMD_DESTROY_EQ:
      return destroy_eq(core, handle);
    case PNIC_CMD_DESTROY_CQ:
      return destroy_cq(core, handle);
    default:
      return destroy_qp(core, handle);
  }
}

}  // namespace peermr::nic
