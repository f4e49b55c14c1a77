// SPDX-License-Identifier: BSD-2-Clause
#include <peermr/peermr.hpp>

#include <cstdio>
#include <cstdlib>

int main(int, char** argv) {
  ibv_context* nic = ibv_open_device(*ibv_get_device_list(nullptr));
  auto buffer = peermr::DmaBuf::adopt(peermr::UniqueFd(std::atoi(argv[1])));
  if (!buffer) return std::puts(buffer.error().message().c_str()), 1;
  auto region = peermr::Region::create(ibv_alloc_pd(nic), *buffer);
  if (!region) return std::puts(region.error().message().c_str()), 1;
  if (auto lease = region->lease())
    std::printf("rkey 0x%x, generation %d\n", lease->rkey.value(), int(lease->generation.value()));
}
