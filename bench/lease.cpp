// SPDX-License-Identifier: BSD-2-Clause
//
// What it costs to ask a region for its keys. Needs an RDMA device and a dma-buf, which
// peermr-native gives it:
//
//   peermr-native --dma-buf 1M peermr-bench-lease
//
// Compare the processor time: it is that of one thread, and stays the same with more of them, on as
// many processors or fewer, unless they get into each other's way.

#include <benchmark/benchmark.h>

#include "nic.hpp"

namespace {

const peermr::Region* g_region = nullptr;

void lease(benchmark::State& state) {
  for (auto _ : state) {
    const auto keys = g_region->lease();
    peermr::Rkey rkey = keys->rkey;
    benchmark::DoNotOptimize(rkey);
  }
}
BENCHMARK(lease)->ThreadRange(1, 8);

void nested_lease(benchmark::State& state) {
  const auto outer = g_region->lease();
  for (auto _ : state) {
    const auto keys = g_region->lease();
    peermr::Rkey rkey = keys->rkey;
    benchmark::DoNotOptimize(rkey);
  }
}
BENCHMARK(nested_lease);

void copy_of_the_keys(benchmark::State& state) {
  for (auto _ : state) {
    auto keys = g_region->keys();
    benchmark::DoNotOptimize(keys);
  }
}
BENCHMARK(copy_of_the_keys);

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const bench::Nic nic;
  auto region = bench::must(peermr::Region::create(nic.pd(), nic.buffer()));
  g_region = &region;
  benchmark::RunSpecifiedBenchmarks();
  return region.close() ? 0 : 1;
}
