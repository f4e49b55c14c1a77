// SPDX-License-Identifier: BSD-2-Clause
#include "memory_region.hpp"

#include "base/checked.hpp"

namespace peermr::nic {

MemoryRegion* MemoryRegionTable::add() {
  if (regions_.size() >= kMaxRegions) return nullptr;
  while (next_key_ == 0 || regions_.contains(next_key_)) ++next_key_;
  const uint32_t key = next_key_++;
  auto region = std::make_unique<MemoryRegion>();
  region->key = key;
  return regions_.emplace(key, std::move(region)).first->second.get();
}

MemoryRegion* MemoryRegionTable::find(uint32_t key) noexcept {
  const auto it = regions_.find(key);
  return it == regions_.end() ? nullptr : it->second.get();
}

void MemoryRegionTable::remove(uint32_t key) {
  const auto it = regions_.find(key);
  if (it == regions_.end()) return;
  count_pages(0, it->second->memory.num_pages());
  regions_.erase(it);
}

void MemoryRegionTable::clear() noexcept {
  regions_.clear();
  pages_used_ = 0;
}

Access check_access(MemoryRegionTable& regions, uint32_t key, uint32_t pdn, uint32_t needed,
                    uint64_t address, uint64_t length) noexcept {
  const auto refused = [](pnic_vendor_error why) {
    return Access{Access::Verdict::kRefused, why, nullptr};
  };
  MemoryRegion* region = regions.find(key);
  if (region == nullptr) return refused(PNIC_VERR_BAD_KEY);
  if (region->state == MemoryRegion::State::kRevoked) return refused(PNIC_VERR_REVOKED);
  if (region->pdn != pdn) return refused(PNIC_VERR_PD);
  if ((region->access & needed) != needed) return refused(PNIC_VERR_ACCESS);
  if (address < region->iova ||
      !range_in<uint64_t>(address - region->iova, length, region->length)) {
    return refused(PNIC_VERR_BOUNDS);
  }
  if (region->state == MemoryRegion::State::kInvalid) {
    const bool broken =
        region->broken_until != Clock::time_point{} && Clock::now() < region->broken_until;
    if (!broken) return {Access::Verdict::kFault, PNIC_VERR_NONE, region};
  }
  return {Access::Verdict::kOk, PNIC_VERR_NONE, region};
}

Access resolve_access(MemoryRegionTable& regions, const DmaMap& dma, uint32_t key, uint32_t pdn,
                      uint32_t needed, uint64_t address, uint64_t length, bool write,
                      PieceList& out) {
  Access access = check_access(regions, key, pdn, needed, address, length);
  if (access.verdict != Access::Verdict::kOk) return access;
  if (!access.region->memory.pieces(dma, address - access.region->iova, length, write, out)) {
    access.verdict = Access::Verdict::kUnreachable;
    access.why = PNIC_VERR_DMA;
  }
  return access;
}

}  // namespace peermr::nic
