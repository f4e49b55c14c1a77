// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>

#include "hardware.hpp"
#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::nic {

/// BAR 2: the memory that holds the status page and the doorbell pages (UARs). Shared with the
/// client, who maps it.
///
/// The memory is a sealed memfd: a client cannot shrink it under the device. Its content is the
/// client's to write and never trusted. Single-threaded on this side.
class DoorbellBar {
 public:
  /// Errors: what memfd_create(2), fcntl(2) and mmap(2) report.
  static Result<DoorbellBar> create();

  DoorbellBar(DoorbellBar&& other) noexcept;
  DoorbellBar& operator=(DoorbellBar&& other) noexcept;
  ~DoorbellBar();

  int fd() const noexcept { return fd_.get(); }

  /// Zeroes everything and frees all UARs.
  void reset() noexcept;

  /// Takes a UAR and zeroes its page: 1 to PNIC_NUM_UARS - 1, or 0 when there is none left.
  uint32_t alloc_uar() noexcept;
  void free_uar(uint32_t uar) noexcept { allocated_.reset(uar); }
  bool is_allocated(uint32_t uar) const noexcept {
    return uar < PNIC_NUM_UARS && allocated_.test(uar);
  }

  /// The 8-byte slot of an allocated UAR; `slot` is below PNIC_UAR_SLOTS.
  uint64_t* slot(uint32_t uar, uint32_t slot) const noexcept;

  /// Publishes whether who rings a doorbell must also kick.
  void set_armed(bool armed) noexcept;

  /// Plain copies for accesses that come as messages instead of through the mapping.
  void read(uint64_t offset, void* to, size_t length) const noexcept;
  void write(uint64_t offset, const void* from, size_t length) noexcept;

 private:
  DoorbellBar(UniqueFd fd, std::byte* memory) : fd_(std::move(fd)), memory_(memory) {}

  UniqueFd fd_;
  std::byte* memory_;
  std::bitset<PNIC_NUM_UARS> allocated_;
};

/// The two halves of a slot, read as one.
struct SlotValue {
  uint32_t low;
  uint32_t high;
};
SlotValue load_slot(const uint64_t* slot) noexcept;

}  // namespace peermr::nic
