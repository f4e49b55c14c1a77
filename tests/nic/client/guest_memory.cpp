// SPDX-License-Identifier: BSD-2-Clause
#include "guest_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>

namespace peermr::test {

GuestMemory::GuestMemory(size_t bytes) : fd_(::memfd_create("guest", MFD_CLOEXEC)), size_(bytes) {
  if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0)
    throw std::runtime_error("memfd");
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap");
  memory_ = static_cast<std::byte*>(memory);
}

GuestMemory::~GuestMemory() {
  ::munmap(memory_, size_);
}

void GuestMemory::map_into(VfioClient& client) const {
  if (!client.dma_map(kBus, size_, 0, fd_.get()).ok()) throw std::runtime_error("DMA_MAP refused");
}

uint64_t GuestMemory::alloc(size_t bytes, size_t alignment) {
  used_ = (used_ + alignment - 1) / alignment * alignment;
  if (bytes > size_ - used_) throw std::runtime_error("guest memory is short");
  const uint64_t bus = kBus + used_;
  used_ += bytes;
  return bus;
}

namespace {

std::byte pattern_byte(uint32_t seed, size_t position) {
  const uint64_t mixed = (position + 1) * 0x9e3779b97f4a7c15 + seed * 0xc2b2ae3d27d4eb4fULL;
  return static_cast<std::byte>(mixed >> 56);
}

}  // namespace

void fill_pattern(std::span<std::byte> memory, uint32_t seed) {
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = pattern_byte(seed, i);
}

bool has_pattern(std::span<const std::byte> memory, uint32_t seed) {
  for (size_t i = 0; i < memory.size(); ++i) {
    if (memory[i] != pattern_byte(seed, i)) return false;
  }
  return true;
}

}  // namespace peermr::test
