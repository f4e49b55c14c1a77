// SPDX-License-Identifier: BSD-2-Clause
// Queue pairs.
#include <rdma/ib_user_ioctl_verbs.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "context.hpp"
#include "page_list.hpp"

namespace peermr::native {

namespace {

// enum ib_qp_attr_mask, which the uapi passes on without defining it.
constexpr uint32_t kState = 1u << 0;
constexpr uint32_t kCurState = 1u << 1;
constexpr uint32_t kAccessFlags = 1u << 3;
constexpr uint32_t kPkeyIndex = 1u << 4;
constexpr uint32_t kPortAttr = 1u << 5;

constexpr std::pair<uint32_t, uint32_t> kAttrMap[] = {
    {kState, PNIC_QP_ATTR_STATE},
    {kCurState, PNIC_QP_ATTR_CUR_STATE},
    {kAccessFlags, PNIC_QP_ATTR_ACCESS},
    {1u << 7, PNIC_QP_ATTR_AV},
    {1u << 8, PNIC_QP_ATTR_PATH_MTU},
    {1u << 9, PNIC_QP_ATTR_TIMEOUT},
    {1u << 10, PNIC_QP_ATTR_RETRY_CNT},
    {1u << 11, PNIC_QP_ATTR_RNR_RETRY},
    {1u << 12, PNIC_QP_ATTR_RQ_PSN},
    {1u << 13, PNIC_QP_ATTR_MAX_RD_ATOMIC},
    {1u << 15, PNIC_QP_ATTR_MIN_RNR_TIMER},
    {1u << 16, PNIC_QP_ATTR_SQ_PSN},
    {1u << 17, PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC},
    {1u << 20, PNIC_QP_ATTR_DEST_QPN},
};

// The numbers of enum ib_qp_state are the device's; SQD (4) and SQE (5) are refused by it.
constexpr uint8_t kStateInit = PNIC_QPS_INIT;
constexpr uint8_t kStateReset = PNIC_QPS_RESET;

constexpr uint32_t kRemoteAccess =
    PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_READ | PNIC_ACCESS_REMOTE_ATOMIC;

pnic_av to_av(const ib_uverbs_qp_dest& dest) {
  pnic_av av{};
  std::memcpy(av.dgid, dest.dgid, sizeof(av.dgid));
  av.dlid = dest.dlid;
  av.sl = dest.sl;
  av.flags = dest.is_global != 0 ? PNIC_AV_GRH : 0;
  av.flow_label = dest.flow_label;
  av.sgid_index = dest.sgid_index;
  av.hop_limit = dest.hop_limit;
  av.traffic_class = dest.traffic_class;
  av.static_rate = dest.static_rate;
  return av;
}

ib_uverbs_qp_dest from_av(const pnic_av& av) {
  ib_uverbs_qp_dest dest{};
  std::memcpy(dest.dgid, av.dgid, sizeof(dest.dgid));
  dest.dlid = av.dlid;
  dest.sl = av.sl;
  dest.is_global = (av.flags & PNIC_AV_GRH) != 0;
  dest.flow_label = av.flow_label;
  dest.sgid_index = av.sgid_index;
  dest.hop_limit = av.hop_limit;
  dest.traffic_class = av.traffic_class;
  dest.static_rate = av.static_rate;
  dest.port_num = 1;
  return dest;
}

int check_create(const ib_uverbs_create_qp& request, const pnic_ib_create_qp& driver) {
  if (request.qp_type != PNIC_QPT_RC || request.is_srq != 0) return EOPNOTSUPP;
  if (driver.reserved != 0 || driver.sq_addr % kPage != 0 || driver.rq_addr % kPage != 0)
    return EINVAL;
  if (driver.sq_log_size > PNIC_QP_LOG_MAX || driver.rq_log_size > PNIC_QP_LOG_MAX ||
      driver.sq_stride_shift < PNIC_SQ_STRIDE_SHIFT_MIN ||
      driver.sq_stride_shift > PNIC_SQ_STRIDE_SHIFT_MAX ||
      driver.rq_stride_shift < PNIC_RQ_STRIDE_SHIFT_MIN ||
      driver.rq_stride_shift > PNIC_RQ_STRIDE_SHIFT_MAX)
    return EINVAL;
  if (request.max_send_wr > 1u << driver.sq_log_size ||
      request.max_recv_wr > 1u << driver.rq_log_size)
    return EINVAL;
  return 0;
}

}  // namespace

int Context::create_qp(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_create_qp>(buffers.core_in);
  const auto driver = read_request<pnic_ib_create_qp>(buffers.driver_in);
  if (const int error = check_create(request, driver)) return error;
  PdObject* const pd = pds_.find(request.pd_handle);
  CqObject* const send_cq = cqs_.find(request.send_cq_handle);
  CqObject* const recv_cq = cqs_.find(request.recv_cq_handle);
  if (pd == nullptr || send_cq == nullptr || recv_cq == nullptr) return EINVAL;

  auto qp = std::make_unique<QpObject>();
  Memory& memory = device_->memory();
  const size_t sq_bytes = size_t{1} << (driver.sq_log_size + driver.sq_stride_shift);
  const size_t rq_bytes = size_t{1} << (driver.rq_log_size + driver.rq_stride_shift);
  PageList sq;
  PageList rq;
  uint64_t qpn = 0;
  int error = memory.pin(driver.sq_addr, sq_bytes, true, qp->sq);
  if (error == 0) error = memory.pin(driver.rq_addr, rq_bytes, true, qp->rq);
  if (error == 0) error = make_page_list(memory, qp->sq, 0, sq);
  if (error == 0) error = make_page_list(memory, qp->rq, 0, rq);
  if (error == 0) error = take_slot(qp->slot);
  if (error == 0) {
    pnic_cmd command = make_command(PNIC_CMD_CREATE_QP);
    pnic_cmd_create_qp& create = command.u.create_qp;
    create.pdn = pd->pdn;
    create.scqn = send_cq->cqn;
    create.rcqn = recv_cq->cqn;
    create.srqn = PNIC_NO_SRQ;
    create.uar = qp->slot.uar;
    create.slot = qp->slot.index;
    create.type = PNIC_QPT_RC;
    create.flags = request.sq_sig_all != 0 ? PNIC_QP_SQ_SIG_ALL : 0;
    create.sq_log_size = driver.sq_log_size;
    create.sq_stride_shift = driver.sq_stride_shift;
    create.rq_log_size = driver.rq_log_size;
    create.rq_stride_shift = driver.rq_stride_shift;
    create.sq = sq.descriptor;
    create.rq = rq.descriptor;
    error = device_->admin().execute(command, &qpn);
    if (error != 0) give_slot(qp->slot);
  }
  if (error != 0) {
    memory.unpin(qp->sq);
    memory.unpin(qp->rq);
    return error;
  }
  qp->qpn = static_cast<uint32_t>(qpn);
  qp->user_handle = request.user_handle;
  qp->pd = request.pd_handle;
  qp->send_cq = request.send_cq_handle;
  qp->recv_cq = request.recv_cq_handle;
  qp->sq_sig_all = request.sq_sig_all != 0;
  ++pd->users;
  ++send_cq->users;
  ++recv_cq->users;

  const pnic_ib_create_qp_resp tail{uint64_t{qp->slot.uar} * kPage, qp->qpn, qp->slot.index};
  ib_uverbs_create_qp_resp resp{};
  resp.qpn = qp->qpn;
  resp.max_send_wr = request.max_send_wr;
  resp.max_recv_wr = request.max_recv_wr;
  resp.max_send_sge = request.max_send_sge;
  resp.max_recv_sge = request.max_recv_sge;
  resp.max_inline_data = request.max_inline_data;
  resp.qp_handle = qps_.add(std::move(qp));
  write_answer(buffers.core_out, resp);
  write_answer(buffers.driver_out, tail);
  return 0;
}

int Context::modify_qp(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_modify_qp>(buffers.core_in);
  QpObject* const qp = qps_.find(request.qp_handle);
  if (qp == nullptr) return EINVAL;
  uint32_t left = request.attr_mask;
  uint32_t mask = 0;
  for (const auto& [theirs, ours] : kAttrMap) {
    if ((left & theirs) == 0) continue;
    mask |= ours;
    left &= ~theirs;
  }
  // The port and its only partition key are no attributes of the device.
  if ((left & ~(kPkeyIndex | kPortAttr)) != 0) return EOPNOTSUPP;
  if ((left & kPkeyIndex) != 0 && request.pkey_index != 0) return EINVAL;
  if ((left & kPortAttr) != 0 && request.port_num != 1) return EINVAL;

  uint8_t state = request.qp_state;
  if ((request.attr_mask & kState) == 0) {
    pnic_qp_query current{};
    if (const int error =
            device_->admin().query(PNIC_CMD_QUERY_QP, qp->qpn, &current, sizeof(current)))
      return error;
    state = current.attr.state;
    mask |= PNIC_QP_ATTR_STATE;
  } else if (state == kStateInit && qp->in_reset &&
             (left & (kPkeyIndex | kPortAttr)) != (kPkeyIndex | kPortAttr)) {
    return EINVAL;
  }

  pnic_cmd command = make_command(PNIC_CMD_MODIFY_QP);
  command.u.modify_qp.qpn = qp->qpn;
  command.u.modify_qp.mask = mask;
  pnic_qp_attr& attr = command.u.modify_qp.attr;
  attr.state = state;
  if ((mask & PNIC_QP_ATTR_CUR_STATE) != 0) attr.cur_state = request.cur_qp_state;
  if ((mask & PNIC_QP_ATTR_PATH_MTU) != 0) attr.path_mtu = request.path_mtu;
  if ((mask & PNIC_QP_ATTR_TIMEOUT) != 0) attr.timeout = request.timeout;
  if ((mask & PNIC_QP_ATTR_RETRY_CNT) != 0) attr.retry_cnt = request.retry_cnt;
  if ((mask & PNIC_QP_ATTR_RNR_RETRY) != 0) attr.rnr_retry = request.rnr_retry;
  if ((mask & PNIC_QP_ATTR_MIN_RNR_TIMER) != 0) attr.min_rnr_timer = request.min_rnr_timer;
  if ((mask & PNIC_QP_ATTR_MAX_RD_ATOMIC) != 0) attr.max_rd_atomic = request.max_rd_atomic;
  if ((mask & PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC) != 0)
    attr.max_dest_rd_atomic = request.max_dest_rd_atomic;
  if ((mask & PNIC_QP_ATTR_ACCESS) != 0) attr.access = request.qp_access_flags & kRemoteAccess;
  if ((mask & PNIC_QP_ATTR_RQ_PSN) != 0) attr.rq_psn = request.rq_psn & 0xffffff;
  if ((mask & PNIC_QP_ATTR_SQ_PSN) != 0) attr.sq_psn = request.sq_psn & 0xffffff;
  if ((mask & PNIC_QP_ATTR_DEST_QPN) != 0) attr.dest_qpn = request.dest_qp_num & 0xffffff;
  if ((mask & PNIC_QP_ATTR_AV) != 0) attr.av = to_av(request.dest);
  if (const int error = device_->admin().execute(command)) return error;
  qp->in_reset = state == kStateReset;
  return 0;
}

int Context::query_qp(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_query_qp>(buffers.core_in);
  const QpObject* const qp = qps_.find(request.qp_handle);
  if (qp == nullptr) return EINVAL;
  pnic_qp_query answer{};
  if (const int error =
          device_->admin().query(PNIC_CMD_QUERY_QP, qp->qpn, &answer, sizeof(answer)))
    return error;
  const pnic_qp_attr& attr = answer.attr;
  ib_uverbs_query_qp_resp resp{};
  resp.dest = from_av(attr.av);
  resp.rq_psn = attr.rq_psn;
  resp.sq_psn = attr.sq_psn;
  resp.dest_qp_num = attr.dest_qpn;
  resp.qp_access_flags = attr.access;
  resp.qp_state = attr.state;
  resp.cur_qp_state = attr.state;
  resp.path_mtu = attr.path_mtu;
  resp.max_rd_atomic = attr.max_rd_atomic;
  resp.max_dest_rd_atomic = attr.max_dest_rd_atomic;
  resp.min_rnr_timer = attr.min_rnr_timer;
  resp.port_num = 1;
  resp.timeout = attr.timeout;
  resp.retry_cnt = attr.retry_cnt;
  resp.rnr_retry = attr.rnr_retry;
  resp.sq_sig_all = qp->sq_sig_all;
  write_answer(buffers.core_out, resp);
  return 0;
}

int Context::release_qp(uint32_t handle) {
  QpObject* const qp = qps_.find(handle);
  pnic_cmd command = make_command(PNIC_CMD_DESTROY_QP);
  command.u.object.handle = qp->qpn;
  const int error = device_->admin().execute(command);
  if (error == EBUSY) return error;
  device_->memory().unpin(qp->sq);
  device_->memory().unpin(qp->rq);
  give_slot(qp->slot);
  if (PdObject* const pd = pds_.find(qp->pd)) --pd->users;
  if (CqObject* const cq = cqs_.find(qp->send_cq)) --cq->users;
  if (CqObject* const cq = cqs_.find(qp->recv_cq)) --cq->users;
  qps_.remove(handle);
  return 0;
}

int Context::destroy_qp(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_destroy_qp>(buffers.core_in);
  QpObject* const qp = qps_.find(request.qp_handle);
  if (qp == nullptr) return EINVAL;
  qp->async_events -= static_cast<uint32_t>(drop_async(qp->user_handle));
  const ib_uverbs_destroy_qp_resp resp{qp->async_events};
  if (const int error = release_qp(request.qp_handle)) return error;
  write_answer(buffers.core_out, resp);
  return 0;
}

bool Context::on_qp_event(const pnic_eqe& event) {
  for (auto& [handle, qp] : qps_) {
    if (qp->qpn != event.object) continue;
    ++qp->async_events;
    send_async(qp->user_handle, event.code);  // the numbers of enum ibv_event_type
    return true;
  }
  return false;
}

}  // namespace peermr::native
