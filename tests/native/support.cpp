// SPDX-License-Identifier: BSD-2-Clause
#include "support.hpp"

#include <dlfcn.h>
#include <peermr/pnic_hw.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "peermr_native.h"

namespace peermr::test {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(5);

}  // namespace

ContextPtr open_nic(int index) {
  const std::string wanted = "pnic" + std::to_string(index);
  ibv_device** const list = ibv_get_device_list(nullptr);
  ContextPtr context;
  for (ibv_device** device = list; list != nullptr && *device != nullptr; ++device)
    if (wanted == ibv_get_device_name(*device)) context.reset(ibv_open_device(*device));
  if (list != nullptr) ibv_free_device_list(list);
  return context;
}

Buffer::Buffer(ibv_pd* pd, size_t bytes, uint8_t seed, int access) : data(bytes) {
  fill(seed);
  mr.reset(ibv_reg_mr(pd, data.data(), data.size(), access));
  EXPECT_NE(mr, nullptr) << std::strerror(errno);
}

void Buffer::fill(uint8_t seed) {
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<uint8_t>(seed * 37 + i * 7 + (i >> 8) * 13);
}

ibv_sge Buffer::sge(size_t offset, size_t length) const {
  return {address(offset), static_cast<uint32_t>(length), mr->lkey};
}

Endpoint::Endpoint(ibv_context* opened, const QpOptions& with) : context(opened), options(with) {
  pd.reset(ibv_alloc_pd(context));
  cq.reset(ibv_create_cq(context, static_cast<int>(options.cqe), nullptr, options.channel, 0));
  if (pd == nullptr || cq == nullptr) {
    ADD_FAILURE() << "PD or CQ: " << std::strerror(errno);
    return;
  }
  ibv_qp_init_attr_ex attr{};
  attr.send_cq = cq.get();
  attr.recv_cq = cq.get();
  attr.cap = {options.max_wr, options.max_wr, options.max_sge, options.max_sge,
              options.max_inline};
  attr.qp_type = IBV_QPT_RC;
  attr.sq_sig_all = options.sq_sig_all ? 1 : 0;
  attr.comp_mask = IBV_QP_INIT_ATTR_PD;
  attr.pd = pd.get();
  if (options.send_ops != 0) {
    attr.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
    attr.send_ops_flags = options.send_ops;
  }
  qp.reset(ibv_create_qp_ex(context, &attr));
  EXPECT_NE(qp, nullptr) << std::strerror(errno);
  cap = attr.cap;
}

void Endpoint::to_init() {
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_INIT;
  attr.port_num = 1;
  attr.qp_access_flags = static_cast<unsigned>(options.access);
  ASSERT_EQ(ibv_modify_qp(qp.get(), &attr,
                          IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS),
            0);
}

void Endpoint::connect(const Endpoint& peer) {
  to_init();
  ibv_port_attr port{};
  ASSERT_EQ(ibv_query_port(peer.context, 1, &port), 0);
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_RTR;
  attr.path_mtu = IBV_MTU_4096;
  attr.dest_qp_num = peer.qp->qp_num;
  attr.rq_psn = 100;
  attr.max_dest_rd_atomic = 8;
  attr.min_rnr_timer = 1;  // 0.01 ms
  attr.ah_attr.dlid = port.lid;
  attr.ah_attr.port_num = 1;
  ASSERT_EQ(ibv_modify_qp(qp.get(), &attr,
                          IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                              IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER),
            0);
  attr = {};
  attr.qp_state = IBV_QPS_RTS;
  attr.timeout = options.timeout;
  attr.retry_cnt = 2;
  attr.rnr_retry = options.rnr_retry;
  attr.sq_psn = 100;
  attr.max_rd_atomic = 8;
  ASSERT_EQ(ibv_modify_qp(qp.get(), &attr,
                          IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                              IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC),
            0);
}

ibv_wc Endpoint::wait() {
  ibv_wc wc{};
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const int n = ibv_poll_cq(cq.get(), 1, &wc);
    if (n == 1) return wc;
    if (n < 0 || Clock::now() > deadline) break;
    // pnicd may share the processor.
    std::this_thread::yield();
  }
  ADD_FAILURE() << "no completion";
  wc = {};
  wc.status = IBV_WC_GENERAL_ERR;
  return wc;
}

ibv_wc Endpoint::expect_success() {
  const ibv_wc wc = wait();
  EXPECT_EQ(wc.status, IBV_WC_SUCCESS)
      << ibv_wc_status_str(wc.status) << ", vendor error " << wc.vendor_err;
  return wc;
}

bool Endpoint::stays_silent(int ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(ms);
  ibv_wc wc{};
  while (Clock::now() < deadline) {
    if (ibv_poll_cq(cq.get(), 1, &wc) != 0) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

int Endpoint::post_send(ibv_wr_opcode opcode, std::vector<ibv_sge> sges, uint64_t wr_id,
                        uint64_t remote, uint32_t rkey, unsigned flags, uint32_t imm) {
  ibv_send_wr wr{};
  wr.wr_id = wr_id;
  wr.sg_list = sges.data();
  wr.num_sge = static_cast<int>(sges.size());
  wr.opcode = opcode;
  wr.send_flags = flags;
  wr.imm_data = htobe32(imm);
  wr.wr.rdma.remote_addr = remote;
  wr.wr.rdma.rkey = rkey;
  ibv_send_wr* bad = nullptr;
  return ibv_post_send(qp.get(), &wr, &bad);
}

int Endpoint::post_recv(std::vector<ibv_sge> sges, uint64_t wr_id) {
  ibv_recv_wr wr{};
  wr.wr_id = wr_id;
  wr.sg_list = sges.data();
  wr.num_sge = static_cast<int>(sges.size());
  ibv_recv_wr* bad = nullptr;
  return ibv_post_recv(qp.get(), &wr, &bad);
}

uint64_t statistic(ibv_context* context, unsigned counter) {
  using Stat = decltype(&peermr_native_stat);
  const auto stat = reinterpret_cast<Stat>(::dlsym(RTLD_DEFAULT, "peermr_native_stat"));
  unsigned long long value = ~0ull;
  if (stat == nullptr || stat(context->cmd_fd, counter, &value) != 0)
    ADD_FAILURE() << "statistics: run me under peermr-native";
  return value;
}

void TwoNics::SetUp() {
  a = open_nic(0);
  b = open_nic(1);
  ASSERT_NE(a, nullptr) << "no pnic0: run me under peermr-native";
  ASSERT_NE(b, nullptr) << "no pnic1: run me under peermr-native";
}

void TwoNics::TearDown() {
  for (ibv_context* const context : {a.get(), b.get()}) {
    if (context == nullptr) continue;
    EXPECT_EQ(statistic(context, PNIC_STAT_DMA_UNMAPPED), 0u);
    EXPECT_EQ(statistic(context, PNIC_STAT_DMA_AFTER_INVALIDATE), 0u);
  }
}

void Connected::connect(const QpOptions& left_options, const QpOptions& right_options) {
  left.reset();
  right.reset();
  left = std::make_unique<Endpoint>(a.get(), left_options);
  right = std::make_unique<Endpoint>(b.get(), right_options);
  left->connect(*right);
  right->connect(*left);
}

}  // namespace peermr::test
