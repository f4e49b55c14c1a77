// SPDX-License-Identifier: BSD-2-Clause
#include "doorbell_bar.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace peermr::nic {

Result<DoorbellBar> DoorbellBar::create() {
  constexpr std::string_view kOperation = "create doorbell memory";
  UniqueFd fd(::memfd_create("pnic-doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return errno_error(errno, kOperation);
  if (::ftruncate(fd.get(), PNIC_BAR_DOORBELL_SIZE) != 0) return errno_error(errno, kOperation);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, kOperation);
  }
  void* memory =
      ::mmap(nullptr, PNIC_BAR_DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return errno_error(errno, kOperation);
  return DoorbellBar(std::move(fd), static_cast<std::byte*>(memory));
}

DoorbellBar::DoorbellBar(DoorbellBar&& other) noexcept
    : fd_(std::move(other.fd_)),
      memory_(std::exchange(other.memory_, nullptr)),
      allocated_(other.allocated_) {}

DoorbellBar& DoorbellBar::operator=(DoorbellBar&& other) noexcept {
  fd_ = std::move(other.fd_);
  std::swap(memory_, other.memory_);
  allocated_ = other.allocated_;
  return *this;
}

DoorbellBar::~DoorbellBar() {
  if (memory_ != nullptr) ::munmap(memory_, PNIC_BAR_DOORBELL_SIZE);
}

void DoorbellBar::reset() noexcept {
  allocated_.reset();
  // Giving the pages back zeroes those that were touched, and costs nothing for the others.
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  PNIC_BAR_DOORBELL_SIZE) != 0) {
    std::memset(memory_, 0, PNIC_BAR_DOORBELL_SIZE);
  }
}

uint32_t DoorbellBar::alloc_uar() noexcept {
  for (uint32_t uar = 1; uar < PNIC_NUM_UARS; ++uar) {
    if (allocated_.test(uar)) continue;
    allocated_.set(uar);
    std::memset(memory_ + uint64_t{uar} * PNIC_PAGE_SIZE, 0, PNIC_PAGE_SIZE);
    return uar;
  }
  return 0;
}

uint64_t* DoorbellBar::slot(uint32_t uar, uint32_t slot) const noexcept {
  return reinterpret_cast<uint64_t*>(memory_ + uint64_t{uar} * PNIC_PAGE_SIZE +
                                     uint64_t{slot} * PNIC_UAR_SLOT_SIZE);
}

void DoorbellBar::set_armed(bool armed) noexcept {
  auto* status = reinterpret_cast<uint32_t*>(memory_);
  std::atomic_ref<uint32_t>(*status).store(armed ? 1 : 0, std::memory_order_release);
}

void DoorbellBar::read(uint64_t offset, void* to, size_t length) const noexcept {
  std::memcpy(to, memory_ + offset, length);
}

void DoorbellBar::write(uint64_t offset, const void* from, size_t length) noexcept {
  std::memcpy(memory_ + offset, from, length);
}

SlotValue load_slot(const uint64_t* slot) noexcept {
  const uint64_t value =
      std::atomic_ref<uint64_t>(*const_cast<uint64_t*>(slot)).load(std::memory_order_acquire);
  return {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)};
}

}  // namespace peermr::nic
