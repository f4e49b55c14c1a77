// SPDX-License-Identifier: BSD-2-Clause
#include "loopback.hpp"

#include <cstdio>

namespace {

constexpr std::uint8_t kPort = 1;

}  // namespace

std::unique_ptr<Loopback> Loopback::connect(ibv_pd* pd, std::uint32_t depth) {
  std::unique_ptr<Loopback> loopback(new Loopback(pd, depth));
  if (loopback->make()) return loopback;
  std::perror("connect the RDMA device to itself");
  return nullptr;
}

Loopback::~Loopback() {
  if (qp_ != nullptr) ibv_destroy_qp(qp_);
  if (cq_ != nullptr) ibv_destroy_cq(cq_);
}

bool Loopback::make() {
  cq_ = ibv_create_cq(pd_->context, static_cast<int>(depth_), nullptr, nullptr, 0);
  if (cq_ == nullptr) return false;
  ibv_qp_init_attr init{};
  init.send_cq = init.recv_cq = cq_;
  init.qp_type = IBV_QPT_RC;
  init.cap = {.max_send_wr = depth_,
              .max_recv_wr = 1,
              .max_send_sge = 1,
              .max_recv_sge = 1,
              .max_inline_data = 0};
  qp_ = ibv_create_qp(pd_, &init);
  ibv_port_attr port{};
  if (qp_ == nullptr || ibv_query_port(pd_->context, kPort, &port) != 0) return false;

  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_INIT;
  attr.port_num = kPort;
  attr.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
  int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
  if (ibv_modify_qp(qp_, &attr, mask) != 0) return false;

  attr.qp_state = IBV_QPS_RTR;
  attr.path_mtu = port.active_mtu;
  attr.dest_qp_num = qp_->qp_num;
  attr.max_dest_rd_atomic = 1;
  // After a revoke the first access may find the memory unmapped: the responder then asks to come
  // again, here after 10 ms, and rnr_retry times at most. A shorter wait may end before the kernel
  // has mapped it.
  attr.min_rnr_timer = 20;
  attr.ah_attr.dlid = port.lid;
  attr.ah_attr.port_num = kPort;
  mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
         IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
  if (ibv_modify_qp(qp_, &attr, mask) != 0) return false;

  attr.qp_state = IBV_QPS_RTS;
  attr.timeout = 14;
  attr.retry_cnt = 7;
  attr.rnr_retry = 6;
  attr.max_rd_atomic = 1;
  mask = IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
         IBV_QP_MAX_QP_RD_ATOMIC;
  return ibv_modify_qp(qp_, &attr, mask) == 0;
}

ibv_wc_status Loopback::write(const ibv_sge& local, const peermr::RegionKeys& keys) {
  const ibv_wc_status status = run(IBV_WR_RDMA_WRITE, local, keys);
  if (status != IBV_WC_SUCCESS) return status;
  return run(IBV_WR_RDMA_READ, {.addr = local.addr, .length = 1, .lkey = local.lkey}, keys);
}

ibv_wc_status Loopback::run(ibv_wr_opcode opcode, ibv_sge local, const peermr::RegionKeys& keys) {
  ibv_send_wr wr{};
  ibv_send_wr* bad = nullptr;
  wr.sg_list = &local;
  wr.num_sge = 1;
  wr.opcode = opcode;
  wr.send_flags = IBV_SEND_SIGNALED;
  wr.wr.rdma.remote_addr = keys.address.value();
  wr.wr.rdma.rkey = keys.rkey.value();
  if (ibv_post_send(qp_, &wr, &bad) != 0) return IBV_WC_GENERAL_ERR;
  return wait();
}

ibv_wc_status Loopback::wait() {
  ibv_wc wc{};
  int count = 0;
  while (count == 0) count = ibv_poll_cq(cq_, 1, &wc);
  return count < 0 ? IBV_WC_GENERAL_ERR : wc.status;
}
