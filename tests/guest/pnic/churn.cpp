// SPDX-License-Identifier: BSD-2-Clause
//
// churn BDF SECONDS THREADS [steady]: makes and destroys objects of every kind without pause.
//
// Whatever the device says, for races between system calls and the end of a device: the kernel must
// stay whole. Fails only if the device could never be used. `steady`: nobody touches the device, so
// whoever cannot make an object is a failure; contexts live shortly, for races between the end of
// one and the beginning of another.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "pnic/verbs.hpp"

namespace {

using namespace pnic_test;

/// One life of a context: its objects, `sets` times, counted. Returns whether all could be made.
bool life(const std::string& bdf, int sets, std::atomic<long>& made) {
  const auto context = open_device(bdf);
  if (!context) {
    std::this_thread::yield();
    return false;
  }
  std::vector<char> memory(256 * 1024);
  const Pd pd(ibv_alloc_pd(context->get()));
  for (int i = 0; pd && i < sets; i++) {
    const Mr mr(ibv_reg_mr(pd.get(), memory.data(), memory.size(), IBV_ACCESS_LOCAL_WRITE));
    const Cq cq(ibv_create_cq(context->get(), 16, nullptr, nullptr, 0));
    if (!mr || !cq) {
      return false;
    }
    ibv_qp_init_attr init{};
    init.send_cq = init.recv_cq = cq.get();
    init.cap.max_send_wr = init.cap.max_recv_wr = 4;
    init.cap.max_send_sge = init.cap.max_recv_sge = 1;
    init.qp_type = IBV_QPT_RC;
    const Qp qp(ibv_create_qp(pd.get(), &init));
    if (!qp) {
      return false;
    }
    ibv_qp_attr attr{};
    attr.qp_state = IBV_QPS_ERR;
    ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE);
    made++;
  }
  return pd != nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const bool steady = argc == 5 && std::strcmp(argv[4], "steady") == 0;
  if (argc != 4 && !steady) {
    std::fprintf(stderr, "usage: %s BDF SECONDS THREADS [steady]\n", argv[0]);
    return 2;
  }
  ::setenv("RDMAV_ALLOW_DISASSOC_DESTROY", "1", 1);
  const std::int64_t end = now_ms() + 1000 * std::atol(argv[2]);
  std::atomic<long> made{0};
  std::atomic<long> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < std::atoi(argv[3]); i++) {
    threads.emplace_back([&] {
      while (now_ms() < end) {
        refused += life(argv[1], steady ? 1 : 8, made) ? 0 : 1;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  std::printf("%ld sets of objects, %ld times refused\n", made.load(), refused.load());
  return made > 0 && !(steady && refused > 0) ? 0 : 1;
}
