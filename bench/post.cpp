// SPDX-License-Identifier: BSD-2-Clause
//
// What posting through a region costs over plain ibv_post_send() on the same queue pair: the lease,
// and reading the keys under it. Lists of 1 and of 16 work requests, each under one lease.
//
//   peermr-native --dma-buf 1M peermr-bench-post
//
// Only the posting is timed, not the completions, and many lists by one pair of clock readings,
// which cost as much as a post. The device works meanwhile, in a process of its own: its share, and
// the machine's, is in both figures alike, so compare medians of repetitions that take turns, as
// bench/run does.

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <vector>

#include "loopback.hpp"
#include "nic.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPosted = 256;  // work requests that are timed together
constexpr int kMaxList = 16;
constexpr std::uint32_t kBytes = 8;

/// Writes of a few bytes, in lists that are filled in anew each time, as an application does.
class Writes {
 public:
  explicit Writes(const bench::Nic& nic)
      : loopback_(Loopback::connect(nic.pd(), kPosted)),
        mr_(ibv_reg_mr(nic.pd(), memory_.data(), memory_.size(), IBV_ACCESS_LOCAL_WRITE)) {
    if (loopback_ == nullptr || mr_ == nullptr) bench::give_up("no queue pair");
    sge_ = {.addr = reinterpret_cast<std::uintptr_t>(memory_.data()),
            .length = kBytes,
            .lkey = mr_->lkey};
  }
  ~Writes() {
    loopback_.reset();
    ibv_dereg_mr(mr_);
  }
  Writes(const Writes&) = delete;
  Writes& operator=(const Writes&) = delete;

  /// Lists of so many from now on.
  void use_lists_of(int count) {
    for (int i = 0; i < count; ++i) {
      ibv_send_wr& wr = list_[static_cast<std::size_t>(i)];
      wr = {};
      wr.next = i + 1 == count ? nullptr : &wr + 1;
      wr.sg_list = &sge_;
      wr.num_sge = 1;
      wr.opcode = IBV_WR_RDMA_WRITE;
    }
    last_ = &list_[static_cast<std::size_t>(count - 1)];
  }

  void post(const peermr::RegionKeys& keys, bool signaled) {
    last_->send_flags = signaled ? unsigned{IBV_SEND_SIGNALED} : 0u;
    // Copies: for all that the compiler knows, the work requests may overwrite the keys.
    const std::uint64_t address = keys.address.value();
    const std::uint32_t rkey = keys.rkey.value();
    for (ibv_send_wr* wr = list_.data(); wr != nullptr; wr = wr->next) {
      wr->wr.rdma.remote_addr = address;
      wr->wr.rdma.rkey = rkey;
    }
    ibv_send_wr* bad = nullptr;
    if (ibv_post_send(loopback_->qp(), list_.data(), &bad) != 0) bench::give_up("cannot post");
  }

  void wait() {
    if (const auto status = loopback_->wait(); status != IBV_WC_SUCCESS) {
      bench::give_up(ibv_wc_status_str(status));
    }
  }

 private:
  std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(4096);
  std::unique_ptr<Loopback> loopback_;
  ibv_mr* mr_;
  ibv_sge sge_{};
  std::array<ibv_send_wr, kMaxList> list_{};
  ibv_send_wr* last_ = nullptr;
};

Writes* g_writes = nullptr;
const peermr::Region* g_region = nullptr;

// Time is that of a list. `post(signaled)` posts one.
template <typename Post>
void measure(benchmark::State& state, const Post& post) {
  const auto list = static_cast<int>(state.range(0));
  const int lists = kPosted / list;
  g_writes->use_lists_of(list);
  while (state.KeepRunningBatch(lists)) {
    const auto begin = Clock::now();
    for (int i = 1; i < lists; ++i) post(false);
    post(true);
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - begin).count());
    g_writes->wait();
  }
}

void plain(benchmark::State& state) {
  const auto keys = g_region->keys().value();
  measure(state, [&keys](bool signaled) { g_writes->post(keys, signaled); });
}
BENCHMARK(plain)->Arg(1)->Arg(kMaxList)->UseManualTime();

void through_a_region(benchmark::State& state) {
  measure(state, [](bool signaled) {
    if (const auto lease = g_region->lease()) g_writes->post(*lease, signaled);
  });
}
BENCHMARK(through_a_region)->Arg(1)->Arg(kMaxList)->UseManualTime();

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const bench::Nic nic;
  const auto region = bench::must(peermr::Region::create(nic.pd(), nic.buffer()));
  Writes writes(nic);
  g_region = &region;
  g_writes = &writes;
  benchmark::RunSpecifiedBenchmarks();
}
