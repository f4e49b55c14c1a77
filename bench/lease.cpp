// SPDX-License-Identifier: BSD-2-Clause
//
// What it costs to ask a region for its keys. Needs an RDMA device and a dma-buf, which
// peermr-native gives it:
//
//   peermr-native --dma-buf 1M peermr-bench-lease

#include <benchmark/benchmark.h>
#include <peermr/peermr.hpp>

#include <cstdio>
#include <cstdlib>

namespace {

const peermr::Region* g_region = nullptr;

void lease(benchmark::State& state) {
  for (auto _ : state) {
    const auto keys = g_region->lease();
    peermr::Rkey rkey = keys->rkey;
    benchmark::DoNotOptimize(rkey);
  }
}
BENCHMARK(lease)->ThreadRange(1, 8)->UseRealTime();

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
  const char* fd = std::getenv("PEERMR_NATIVE_DMA_BUF");
  if (fd == nullptr) {
    std::fprintf(stderr, "PEERMR_NATIVE_DMA_BUF is not set: run it under peermr-native\n");
    return 77;
  }
  // libibverbs' own list: the double shows its sysfs to libibverbs only.
  ibv_device** devices = ibv_get_device_list(nullptr);
  ibv_context* nic =
      devices != nullptr && *devices != nullptr ? ibv_open_device(*devices) : nullptr;
  if (nic == nullptr) {
    std::perror("open the first RDMA device");
    return 1;
  }
  ibv_pd* pd = ibv_alloc_pd(nic);
  auto region = peermr::DmaBuf::adopt(peermr::UniqueFd(std::atoi(fd)))
                    .and_then([pd](const peermr::DmaBuf& buffer) {
                      return peermr::Region::create(pd, buffer);
                    });
  if (!region) {
    std::fprintf(stderr, "%s\n", region.error().message().c_str());
    return 1;
  }
  g_region = &*region;
  benchmark::RunSpecifiedBenchmarks();
  if (!region->close()) return 1;
  ibv_dealloc_pd(pd);
  ibv_close_device(nic);
  ibv_free_device_list(devices);
}
