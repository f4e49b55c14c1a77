// SPDX-License-Identifier: BSD-2-Clause
//
// churn BDF SECONDS THREADS: makes and destroys objects of every kind without pause, whatever the
// device says. For races between system calls and the end of a device: the kernel must stay whole.
// Fails only if the device could never be used.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "pnic/verbs.hpp"

namespace {

using namespace pnic_test;

/// One life of a context: its objects, several times. Counts those that could be made.
void life(const std::string& bdf, std::atomic<long>& made) {
  const auto context = open_device(bdf);
  if (!context) {
    std::this_thread::yield();
    return;
  }
  std::vector<char> memory(256 * 1024);
  const Pd pd(ibv_alloc_pd(context->get()));
  for (int i = 0; pd && i < 8; i++) {
    const Mr mr(ibv_reg_mr(pd.get(), memory.data(), memory.size(), IBV_ACCESS_LOCAL_WRITE));
    const Cq cq(ibv_create_cq(context->get(), 16, nullptr, nullptr, 0));
    if (!mr || !cq) {
      return;
    }
    ibv_qp_init_attr init{};
    init.send_cq = init.recv_cq = cq.get();
    init.cap.max_send_wr = init.cap.max_recv_wr = 4;
    init.cap.max_send_sge = init.cap.max_recv_sge = 1;
    init.qp_type = IBV_QPT_RC;
    const Qp qp(ibv_create_qp(pd.get(), &init));
    if (!qp) {
      return;
    }
    ibv_qp_attr attr{};
    attr.qp_state = IBV_QPS_ERR;
    ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE);
    made++;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s BDF SECONDS THREADS\n", argv[0]);
    return 2;
  }
  ::setenv("RDMAV_ALLOW_DISASSOC_DESTROY", "1", 1);
  const std::int64_t end = now_ms() + 1000 * std::atol(argv[2]);
  std::atomic<long> made{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < std::atoi(argv[3]); i++) {
    threads.emplace_back([&] {
      while (now_ms() < end) {
        life(argv[1], made);
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  std::printf("%ld sets of objects\n", made.load());
  return made > 0 ? 0 : 1;
}
