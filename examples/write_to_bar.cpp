// SPDX-License-Identifier: BSD-2-Clause
//
// Writes a line into the BAR of a device by RDMA, resets the device, and writes once more.
//
//   write_to_bar 0000:04:00.0 2 pnic0
//
// The device is bound to vfio-pci, and the first page of the BAR is memory (here ivshmem's or an
// NVMe controller's PMR), not registers.

#include <peermr/peermr.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "loopback.hpp"

using namespace peermr;

template <typename T>
T or_exit(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message().c_str());
    std::exit(1);
  }
  return *std::move(result);
}

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s BDF BAR RDMA-DEVICE\n", argv[0]);
    return 2;
  }
  const BarIndex bar(static_cast<std::uint8_t>(std::atoi(argv[2])));
  auto device = or_exit(vfio::Device::open(or_exit(Bdf::parse(argv[1]))));
  auto buffer = or_exit(device.export_dma_buf(bar, {.offset_bytes = 0, .length_bytes = 4096}));
  auto nic = or_exit(verbs::Context::open(argv[3]));
  ibv_pd* pd = ibv_alloc_pd(nic.get());
  auto region = or_exit(Region::create(pd, buffer));

  static char line[64];
  ibv_mr* source = ibv_reg_mr(pd, line, sizeof(line), IBV_ACCESS_LOCAL_WRITE);
  auto connection = Loopback::connect(pd);
  if (!source || !connection) return 1;
  const auto mapping = or_exit(device.map_bar(bar, {.offset_bytes = 0, .length_bytes = 4096}));

  for (int round = 0; round < 2; ++round) {
    const auto keys = region.keys();
    std::snprintf(line, sizeof(line), "generation %d", static_cast<int>(keys->generation.value()));
    const std::string expected = line;
    const auto status = connection->write(
        {reinterpret_cast<std::uintptr_t>(line), sizeof(line), source->lkey}, *keys);
    const char* seen = reinterpret_cast<const char*>(mapping.bytes().data());
    std::printf("rkey 0x%x: %s, BAR holds \"%s\"\n", keys->rkey.value(), ibv_wc_status_str(status),
                seen);
    if (status != IBV_WC_SUCCESS || expected != seen) return 1;
    or_exit(device.reset());
  }
  connection.reset();
  ibv_dereg_mr(source);
  if (!region.close()) return 1;
  return ibv_dealloc_pd(pd);
}
