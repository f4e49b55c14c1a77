// SPDX-License-Identifier: BSD-2-Clause
#include "bench/host_memory.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <memory>

#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint64_t kPage = 4096;

}  // namespace

void HostMemory::Unmap::operator()(void* address) const noexcept {
  ::munmap(address, size);
}

Result<HostMemory> HostMemory::create(const BenchDevice& device, std::uint64_t size_bytes) {
  HostMemory memory;
  const std::uint64_t size = (size_bytes + kPage - 1) / kPage * kPage;
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (address == MAP_FAILED) return errno_error(errno, "allocate", format_bytes(size));
  memory.memory_ = {address, Unmap{size}};
  memory.mr_.reset(
      ibv_reg_mr(device.pd(), address, size,
                 IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE));
  if (!memory.mr_) {
    const int cause = errno;
    return errno_error(cause, "register host memory with", device.name(),
                       cause == ENOMEM ? "raise the memory lock limit (ulimit -l)" : "");
  }
  return memory;
}

}  // namespace peermr::tool
