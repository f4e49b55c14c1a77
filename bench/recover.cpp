// SPDX-License-Identifier: BSD-2-Clause
//
// What it costs the library to bring regions back once their memory is there again, over what the
// RDMA device and its driver take for it: the probe, a registration of one page and its end.
//
//   peermr-native --dma-buf 1M peermr-bench-recover

#include <benchmark/benchmark.h>

#include <vector>

#include "nic.hpp"

namespace {

const bench::Nic* g_nic = nullptr;

constexpr std::uint64_t kPage = 4096;

std::vector<peermr::Region> make_regions(std::int64_t count) {
  std::vector<peermr::Region> regions;
  for (std::int64_t i = 0; i < count; ++i) {
    regions.push_back(bench::must(
        peermr::Region::create(g_nic->pd(), g_nic->buffer(), {.length_bytes = kPage})));
  }
  return regions;
}

void all_regions(benchmark::State& state) {
  auto regions = make_regions(state.range(0));
  for (auto _ : state) {
    for (peermr::Region& region : regions) {
      region.report_completion(IBV_WC_REM_ACCESS_ERR, region.generation());
    }
    for (peermr::Region& region : regions) {
      if (!region.recover()) bench::give_up("a region did not come back");
    }
  }
}

void only_their_probes(benchmark::State& state) {
  const auto regions = make_regions(state.range(0));
  for (auto _ : state) {
    for (std::size_t i = 0; i < regions.size(); ++i) {
      ibv_mr* mr = ibv_reg_dmabuf_mr(g_nic->pd(), 0, kPage, 0, g_nic->buffer().fd(),
                                     IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
                                         IBV_ACCESS_REMOTE_WRITE);
      if (mr == nullptr || ibv_dereg_mr(mr) != 0) bench::give_up("cannot register a page");
    }
  }
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Arg(64)->Arg(512)->Arg(4096)->Unit(benchmark::kMicrosecond)->UseRealTime();
}
BENCHMARK(all_regions)->Apply(sizes);
BENCHMARK(only_their_probes)->Apply(sizes);

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const bench::Nic nic;
  g_nic = &nic;
  benchmark::RunSpecifiedBenchmarks();
}
