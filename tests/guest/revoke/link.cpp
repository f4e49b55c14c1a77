// SPDX-License-Identifier: BSD-2-Clause
#include "revoke/link.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "revoke/lab.hpp"

namespace revoke_test {
namespace {

constexpr int kAllAccess =
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

void check(int error, const std::string& what) {
  if (error != 0) give_up(what + ": " + std::strerror(error));
}

template <typename T>
T* made(T* object, const std::string& what) {
  if (object == nullptr) check(errno != 0 ? errno : EIO, what);
  return object;
}

void to_init(End& end) {
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_RESET;
  check(ibv_modify_qp(end.qp(), &attr, IBV_QP_STATE), "QP to RESET");
  // Whatever was flushed is nobody's any more.
  while (end.poll(std::chrono::nanoseconds(0))) {
  }
  attr.qp_state = IBV_QPS_INIT;
  attr.port_num = 1;
  attr.qp_access_flags = kAllAccess;
  check(ibv_modify_qp(end.qp(), &attr,
                      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS),
        "QP to INIT");
}

void to_rts(End& end, const End& peer, const Patience& patience) {
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_RTR;
  attr.path_mtu = end.mtu();
  attr.dest_qp_num = peer.qp()->qp_num;
  attr.max_dest_rd_atomic = 4;
  attr.min_rnr_timer = patience.min_rnr_timer;
  attr.ah_attr.dlid = peer.lid();
  attr.ah_attr.port_num = 1;
  check(ibv_modify_qp(end.qp(), &attr,
                      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                          IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER),
        "QP to RTR");
  attr.qp_state = IBV_QPS_RTS;
  attr.timeout = 14;  // 67 ms
  attr.retry_cnt = 7;
  attr.rnr_retry = patience.rnr_retry;
  attr.max_rd_atomic = 4;
  check(ibv_modify_qp(end.qp(), &attr,
                      IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                          IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC),
        "QP to RTS");
}

}  // namespace

End::End(const char* nic) : context_(must(peermr::verbs::Context::open(lab_bdf(nic)))) {
  check(ibv_query_port(context_.get(), 1, &port_), "query the port");
  pd_.reset(made(ibv_alloc_pd(context_.get()), "allocate a PD"));
  cq_.reset(made(ibv_create_cq(context_.get(), 2 * kDepth, nullptr, nullptr, 0), "create a CQ"));
  ibv_qp_init_attr init{};
  init.send_cq = cq_.get();
  init.recv_cq = cq_.get();
  init.cap = {.max_send_wr = kDepth,
              .max_recv_wr = 1,
              .max_send_sge = 1,
              .max_recv_sge = 1,
              .max_inline_data = 0};
  init.qp_type = IBV_QPT_RC;
  init.sq_sig_all = 1;
  qp_.reset(made(ibv_create_qp(pd_.get(), &init), "create a QP"));
}

std::string End::name() const {
  return context_.device().name;
}

std::uint64_t End::counter(const char* which) const {
  std::ifstream file("/sys/class/infiniband/" + name() + "/hw_counters/" + which);
  std::uint64_t value = 0;
  if (!(file >> value)) give_up("no counter " + std::string(which) + " of " + name());
  return value;
}

std::optional<ibv_wc> End::poll(std::chrono::nanoseconds limit) {
  const auto deadline = Clock::now() + limit;
  do {
    ibv_wc wc{};
    const int got = ibv_poll_cq(cq_.get(), 1, &wc);
    if (got < 0) give_up("cannot poll the CQ");
    if (got == 1) return wc;
  } while (Clock::now() < deadline);
  return std::nullopt;
}

void connect(End& one, End& other, const Patience& patience) {
  to_init(one);
  to_init(other);
  to_rts(one, other, patience);
  to_rts(other, one, patience);
}

HostMemory::HostMemory(End& end, std::size_t bytes)
    : bytes_(bytes),
      data_(std::make_unique<std::uint8_t[]>(bytes)),
      mr_(made(ibv_reg_mr(end.pd(), data_.get(), bytes, kAllAccess), "register host memory")) {}

void post(End& end, const Rdma& rdma) {
  ibv_sge sge{.addr = rdma.local, .length = rdma.bytes, .lkey = rdma.lkey};
  ibv_send_wr wr{};
  ibv_send_wr* bad = nullptr;
  wr.wr_id = rdma.id;
  wr.sg_list = &sge;
  wr.num_sge = 1;
  wr.opcode = rdma.opcode;
  wr.wr.rdma.remote_addr = rdma.remote;
  wr.wr.rdma.rkey = rdma.rkey;
  check(ibv_post_send(end.qp(), &wr, &bad), "post a work request");
}

std::optional<ibv_wc> execute(End& end, const Rdma& rdma) {
  post(end, rdma);
  return end.poll();
}

}  // namespace revoke_test
