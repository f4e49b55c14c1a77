// SPDX-License-Identifier: BSD-2-Clause
#include "region/cache_core.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace peermr::detail {
namespace {

CacheKey key_of(ibv_pd* pd, const DmaBuf& buffer, const CachedPart& part) {
  const std::uint64_t rest = buffer.size_bytes() - part.offset_bytes;  // nonsense finds nothing
  return {.pd = pd,
          .buffer = buffer.state()->file,
          .offset_bytes = part.offset_bytes,
          .length_bytes = part.length_bytes != 0 ? part.length_bytes : rest,
          .address = part.address.value_or(Iova(part.offset_bytes)).value(),
          .access = part.access};
}

}  // namespace

CacheCore::CacheCore(const RegionCacheOptions& options, Make make)
    : options_(options), make_(std::move(make)) {}

Result<std::shared_ptr<Region>> CacheCore::get(ibv_pd* pd, const DmaBuf& buffer,
                                               const CachedPart& part) {
  const CacheKey key = key_of(pd, buffer, part);
  const Entry entry = enter(key);
  if (entry.live) return entry.live;
  Regions evicted;  // goes last: closing a region may wait
  const std::lock_guard one_registers(entry.slot->registering);
  auto ready = thread_holds_lease()
                   ? make_error(Errc::kLeaseHeld, "register", buffer.name(),
                                "what is registered may have to wait for that lease")
                   : make_ready(*entry.slot, pd, buffer, part);
  const std::lock_guard lock(mutex_);
  if (ready) {
    evicted = evict();
  } else {
    drop(key, *entry.slot);
  }
  return ready;
}

std::size_t CacheCore::forget(const std::function<bool(const CacheKey&)>& matches) {
  Regions forgotten;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(slots_, [&](const auto& slot) {
      if (!matches(slot.first)) return false;
      if (slot.second->region) forgotten.push_back(slot.second->region);
      by_use_.erase(slot.second->use);
      return true;
    });
  }
  return static_cast<std::size_t>(std::count_if(
      forgotten.begin(), forgotten.end(), [](const auto& region) { return region.use_count() > 1; }));
}

RegionCacheStatistics CacheCore::statistics() const {
  const std::lock_guard lock(mutex_);
  auto statistics = statistics_;
  statistics.regions = slots_.size();
  return statistics;
}

CacheCore::Entry CacheCore::enter(const CacheKey& key) {
  const std::lock_guard lock(mutex_);
  auto& slot = slots_[key];
  if (!slot) {
    slot = std::make_shared<Slot>();
    slot->use = by_use_.insert(by_use_.end(), key);
  }
  by_use_.splice(by_use_.end(), by_use_, slot->use);
  if (!slot->region || slot->region->state() != RegionState::kLive) return {slot, nullptr};
  ++statistics_.hits;
  return {slot, slot->region};
}

// With slot.registering held.
Result<std::shared_ptr<Region>> CacheCore::make_ready(Slot& slot, ibv_pd* pd, const DmaBuf& buffer,
                                                      const CachedPart& part) {
  const std::shared_ptr<Region> old = slot.region;
  if (old && old->state() == RegionState::kLive) return count(old, &RegionCacheStatistics::hits);
  if (old && old->state() != RegionState::kDead) {
    auto recovered = old->recover();
    if (recovered) return count(old, &RegionCacheStatistics::revived);
    if (recovered.error().code() != Errc::kDead) return recovered.error();
  }
  RegionOptions options = options_.region;
  options.offset_bytes = part.offset_bytes;
  options.length_bytes = part.length_bytes;
  options.address = part.address;
  options.access = part.access;
  auto made = make_(pd, buffer, options);
  if (!made) return made.error();
  auto region = std::make_shared<Region>(*std::move(made));
  const std::lock_guard lock(mutex_);
  slot.region = region;
  ++statistics_.misses;
  if (old) ++statistics_.replaced;
  return region;
}

std::shared_ptr<Region> CacheCore::count(const std::shared_ptr<Region>& region,
                                         std::uint64_t RegionCacheStatistics::* what) {
  const std::lock_guard lock(mutex_);
  ++(statistics_.*what);
  return region;
}

// Unless somebody has forgotten it meanwhile. With mutex_ held.
void CacheCore::drop(const CacheKey& key, const Slot& slot) {
  const auto found = slots_.find(key);
  if (found == slots_.end() || found->second.get() != &slot) return;
  by_use_.erase(slot.use);
  slots_.erase(found);
}

// With mutex_ held.
CacheCore::Regions CacheCore::evict() {
  Regions evicted;
  std::size_t unused = 0;
  for (auto use = by_use_.rbegin(); use != by_use_.rend();) {
    const auto& slot = *slots_.at(*use);
    const bool is_unused = slot.region && slot.region.use_count() == 1;
    if (!is_unused || ++unused <= options_.unused) {
      ++use;
      continue;
    }
    evicted.push_back(slot.region);
    ++statistics_.evicted;
    slots_.erase(*use);
    use = std::make_reverse_iterator(by_use_.erase(std::next(use).base()));
  }
  return evicted;
}

}  // namespace peermr::detail
