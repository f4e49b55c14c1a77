// SPDX-License-Identifier: BSD-2-Clause

#include "pnic/verbs.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace pnic_test {

void fail(const std::string& what, int error) {
  std::fprintf(stderr, "FAILED: %s%s%s\n", what.c_str(), error != 0 ? ": " : "",
               error != 0 ? std::strerror(error) : "");
  std::_Exit(1);
}

void require(bool ok, const std::string& what) {
  if (!ok) {
    fail(what);
  }
}

std::int64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

namespace {

std::string device_name(const std::string& bdf) {
  std::error_code ignored;
  const std::filesystem::path dir = "/sys/bus/pci/devices/" + bdf + "/infiniband";
  for (const auto& entry : std::filesystem::directory_iterator(dir, ignored)) {
    return entry.path().filename().string();
  }
  return {};
}

void to_init(ibv_qp* qp) {
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_INIT;
  attr.port_num = 1;
  attr.qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
  const int error = ibv_modify_qp(
      qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
  if (error != 0) {
    fail("RESET to INIT", error);
  }
}

void to_rtr(ibv_qp* qp, const ibv_port_attr& port) {
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_RTR;
  attr.path_mtu = port.active_mtu;
  attr.dest_qp_num = qp->qp_num;
  attr.max_dest_rd_atomic = 1;
  attr.min_rnr_timer = 10;  // 0.32 ms
  attr.ah_attr.dlid = port.lid;
  attr.ah_attr.port_num = 1;
  const int error =
      ibv_modify_qp(qp, &attr,
                    IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                        IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
  if (error != 0) {
    fail("INIT to RTR", error);
  }
}

void to_rts(ibv_qp* qp, std::uint8_t timeout) {
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_RTS;
  attr.timeout = timeout;
  attr.retry_cnt = 7;
  attr.rnr_retry = 7;
  attr.max_rd_atomic = 1;
  const int error =
      ibv_modify_qp(qp, &attr,
                    IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                        IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
  if (error != 0) {
    fail("RTR to RTS", error);
  }
}

}  // namespace

std::optional<Context> open_device(const std::string& bdf) {
  const std::string name = device_name(bdf);
  int count = 0;
  ibv_device** list = ibv_get_device_list(&count);
  if (list == nullptr || name.empty()) {
    ibv_free_device_list(list);
    return std::nullopt;
  }
  Context context;
  for (int i = 0; i < count; i++) {
    if (name == ibv_get_device_name(list[i])) {
      context.reset(ibv_open_device(list[i]));
    }
  }
  ibv_free_device_list(list);
  if (!context) {
    return std::nullopt;
  }
  return context;
}

Loopback Loopback::create(ibv_context* context, std::uint8_t timeout, int cq_entries) {
  Loopback made;
  made.pd.reset(ibv_alloc_pd(context));
  require(made.pd != nullptr, "allocate a PD");
  made.channel.reset(ibv_create_comp_channel(context));
  require(made.channel != nullptr, "create a completion channel");
  made.cq.reset(ibv_create_cq(context, cq_entries, nullptr, made.channel.get(), 0));
  require(made.cq != nullptr, "create a CQ");

  ibv_qp_init_attr init{};
  init.send_cq = made.cq.get();
  init.recv_cq = made.cq.get();
  init.cap = {.max_send_wr = 16, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1,
              .max_inline_data = 0};
  init.qp_type = IBV_QPT_RC;
  init.sq_sig_all = 1;
  made.qp.reset(ibv_create_qp(made.pd.get(), &init));
  require(made.qp != nullptr, "create a QP");
  made.timeout = timeout;
  made.connect();
  return made;
}

void Loopback::connect() {
  ibv_port_attr port{};
  require(ibv_query_port(qp->context, 1, &port) == 0, "query the port");
  to_init(qp.get());
  to_rtr(qp.get(), port);
  to_rts(qp.get(), timeout);
}

void Loopback::reconnect() {
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_RESET;
  if (const int error = ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE)) fail("QP to RESET", error);
  connect();
}

int post_rdma(Loopback& loopback, ibv_wr_opcode opcode, const ibv_sge& local,
              std::uint64_t remote_addr, std::uint32_t rkey, std::uint64_t wr_id) {
  ibv_sge sge = local;
  ibv_send_wr wr{};
  ibv_send_wr* bad = nullptr;
  wr.wr_id = wr_id;
  wr.sg_list = &sge;
  wr.num_sge = 1;
  wr.opcode = opcode;
  wr.wr.rdma.remote_addr = remote_addr;
  wr.wr.rdma.rkey = rkey;
  return ibv_post_send(loopback.qp.get(), &wr, &bad);
}

std::optional<ibv_wc> poll_one(Loopback& loopback, int timeout_ms) {
  const std::int64_t deadline = now_ms() + timeout_ms;
  do {
    ibv_wc wc{};
    const int got = ibv_poll_cq(loopback.cq.get(), 1, &wc);
    require(got >= 0, "poll the CQ");
    if (got == 1) {
      return wc;
    }
  } while (now_ms() < deadline);
  return std::nullopt;
}

ibv_wc_status rdma(Loopback& loopback, ibv_wr_opcode opcode, const ibv_sge& local,
                   std::uint64_t remote_addr, std::uint32_t rkey) {
  const int error = post_rdma(loopback, opcode, local, remote_addr, rkey);
  if (error != 0) {
    fail("post a WR", error);
  }
  const std::optional<ibv_wc> wc = poll_one(loopback, 10000);
  if (!wc) {
    fail("no completion within 10 s", 0);
  }
  return wc->status;
}

}  // namespace pnic_test
