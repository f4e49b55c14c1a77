// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "guest_buffer.hpp"
#include "hardware.hpp"

namespace peermr::nic {

/// A memory region (docs/nic-spec.md, section 6.1).
struct MemoryRegion {
  enum class State { kValid, kInvalid, kRevoked };

  uint32_t key = 0;
  uint32_t pdn = 0;
  uint32_t access = 0;  // PNIC_ACCESS_*
  bool faultable = false;
  State state = State::kValid;
  uint64_t iova = 0;
  uint64_t length = 0;
  GuestBuffer memory;  // empty unless valid

  bool destroying = false;     // DESTROY_MR waits for its fence
  bool fault_pending = false;  // raised, and the driver has not answered
  uint32_t in_flight = 0;      // messages of DMA under way to or from the pages

  // Test hook --break-fence: after an invalidation has been reported as complete, accesses go on
  // until this moment.
  Clock::time_point broken_until{};
};

/// What one access through a key comes to.
struct Access {
  enum class Verdict {
    kOk,
    kRefused,      // `why` says why
    kFault,        // the MR is invalid for now
    kUnreachable,  // the MR is valid, its memory isn't mapped
  };
  Verdict verdict = Verdict::kOk;
  pnic_vendor_error why = PNIC_VERR_NONE;
  MemoryRegion* region = nullptr;
};

/// All MRs of a NIC by key. Keys come from one counter that outlives resets, so that a key does not
/// return before all others have been used (section 6.2).
class MemoryRegionTable {
 public:
  static constexpr size_t kMaxRegions = 1u << 17;
  static constexpr uint64_t kMaxLength = uint64_t{1} << 34;
  static constexpr uint64_t kMaxPages = uint64_t{1}
                                        << 24;  // of all MRs together: what the device can remember

  /// Adds a region under a fresh key, or returns null when the table is full.
  MemoryRegion* add();
  MemoryRegion* find(uint32_t key) noexcept;
  void remove(uint32_t key);

  /// Forgets all regions; the key counter goes on.
  void clear() noexcept;

  /// How many pages new page lists may still have.
  uint64_t page_budget() const noexcept { return kMaxPages - pages_used_; }
  void count_pages(uint64_t added, uint64_t removed) noexcept {
    pages_used_ = pages_used_ + added - removed;
  }

  template <typename Function>
  void for_each(Function function) {
    for (auto& [key, region] : regions_) function(*region);
  }

  size_t size() const noexcept { return regions_.size(); }

 private:
  std::unordered_map<uint32_t, std::unique_ptr<MemoryRegion>> regions_;
  uint32_t next_key_ = 1;
  uint64_t pages_used_ = 0;
};

/// Checks key, PD, access flags and bounds of [address, address + length), length > 0. Does not
/// look at the pages. `needed` is a set of PNIC_ACCESS_* of which all must be granted.
Access check_access(MemoryRegionTable& regions, uint32_t key, uint32_t pdn, uint32_t needed,
                    uint64_t address, uint64_t length) noexcept;

/// As check_access(), then appends the pieces of the range to `out` until it is full. `write`: the
/// device writes there.
Access resolve_access(MemoryRegionTable& regions, const DmaMap& dma, uint32_t key, uint32_t pdn,
                      uint32_t needed, uint64_t address, uint64_t length, bool write,
                      PieceList& out);

}  // namespace peermr::nic
