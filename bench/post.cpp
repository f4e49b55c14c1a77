// SPDX-License-Identifier: BSD-2-Clause
//
// What posting through a region costs over plain ibv_post_send() on the same queue pair: the lease,
// and reading the keys under it. Only the posting is timed, not the completions.
//
//   peermr-native --dma-buf 1M peermr-bench-post

#include <benchmark/benchmark.h>

#include <chrono>
#include <vector>

#include "nic.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDepth = 64;
constexpr std::uint32_t kBytes = 8;

/// A queue pair that is connected with itself.
class Loopback {
 public:
  explicit Loopback(const bench::Nic& nic)
      : cq_(ibv_create_cq(nic.context(), 2 * kDepth, nullptr, nullptr, 0)),
        local_(ibv_reg_mr(nic.pd(), memory_.data(), memory_.size(), IBV_ACCESS_LOCAL_WRITE)) {
    ibv_qp_init_attr init{};
    init.send_cq = init.recv_cq = cq_;
    init.cap = {.max_send_wr = kDepth, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1,
                .max_inline_data = 0};
    init.qp_type = IBV_QPT_RC;
    qp_ = cq_ != nullptr ? ibv_create_qp(nic.pd(), &init) : nullptr;
    if (qp_ == nullptr || local_ == nullptr || !connect(nic.context())) {
      bench::give_up("no queue pair");
    }
  }
  ~Loopback() {
    ibv_destroy_qp(qp_);
    ibv_destroy_cq(cq_);
    ibv_dereg_mr(local_);
  }
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  /// `count` writes to the region of these keys, the last one signaled.
  void post(std::uint64_t address, std::uint32_t rkey, int count) {
    for (int i = 0; i < count; ++i) {
      ibv_sge sge{.addr = reinterpret_cast<std::uintptr_t>(memory_.data()), .length = kBytes,
                  .lkey = local_->lkey};
      ibv_send_wr wr{};
      wr.sg_list = &sge;
      wr.num_sge = 1;
      wr.opcode = IBV_WR_RDMA_WRITE;
      wr.send_flags = i + 1 == count ? unsigned{IBV_SEND_SIGNALED} : 0u;
      wr.wr.rdma = {.remote_addr = address, .rkey = rkey};
      ibv_send_wr* bad = nullptr;
      if (ibv_post_send(qp_, &wr, &bad) != 0) bench::give_up("cannot post");
    }
  }
  void wait() {
    ibv_wc wc{};
    int got = 0;
    while (got == 0) got = ibv_poll_cq(cq_, 1, &wc);
    if (got < 0 || wc.status != IBV_WC_SUCCESS) bench::give_up(ibv_wc_status_str(wc.status));
  }

 private:
  bool connect(ibv_context* context) {
    ibv_port_attr port{};
    if (ibv_query_port(context, 1, &port) != 0) return false;
    ibv_qp_attr attr{};
    attr.qp_state = IBV_QPS_INIT;
    attr.port_num = 1;
    attr.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
    if (ibv_modify_qp(qp_, &attr,
                      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) != 0)
      return false;
    attr.qp_state = IBV_QPS_RTR;
    attr.path_mtu = port.active_mtu;
    attr.dest_qp_num = qp_->qp_num;
    attr.max_dest_rd_atomic = 1;
    attr.min_rnr_timer = 12;
    attr.ah_attr.dlid = port.lid;
    attr.ah_attr.port_num = 1;
    if (ibv_modify_qp(qp_, &attr,
                      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                          IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) != 0)
      return false;
    attr.qp_state = IBV_QPS_RTS;
    attr.timeout = 14;
    attr.retry_cnt = 7;
    attr.rnr_retry = 7;
    attr.max_rd_atomic = 1;
    return ibv_modify_qp(qp_, &attr,
                         IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                             IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC) == 0;
  }

  std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(4096);
  ibv_cq* cq_;
  ibv_mr* local_;
  ibv_qp* qp_ = nullptr;
};

Loopback* g_loopback = nullptr;
const peermr::Region* g_region = nullptr;

template <typename Post>
void measure(benchmark::State& state, const Post& post) {
  const auto batch = static_cast<int>(state.range(0));
  for (auto _ : state) {
    const auto begin = Clock::now();
    post(batch);
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - begin).count());
    g_loopback->wait();
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

void plain(benchmark::State& state) {
  const auto keys = g_region->keys().value();
  measure(state, [&](int batch) {
    g_loopback->post(keys.address.value(), keys.rkey.value(), batch);
  });
}
BENCHMARK(plain)->Arg(1)->Arg(16)->UseManualTime();

void through_a_region(benchmark::State& state) {
  measure(state, [](int batch) {
    if (const auto lease = g_region->lease()) {
      g_loopback->post(lease->address.value(), lease->rkey.value(), batch);
    }
  });
}
BENCHMARK(through_a_region)->Arg(1)->Arg(16)->UseManualTime();

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const bench::Nic nic;
  const auto region = bench::must(peermr::Region::create(nic.pd(), nic.buffer()));
  Loopback loopback(nic);
  g_region = &region;
  g_loopback = &loopback;
  benchmark::RunSpecifiedBenchmarks();
}
