// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/region_cache.hpp"

#include "region/cache_core.hpp"

namespace peermr {

RegionCache::RegionCache(const RegionCacheOptions& options)
    : core_(std::make_unique<detail::CacheCore>(options, &Region::create)) {}
RegionCache::RegionCache(RegionCache&&) noexcept = default;
RegionCache& RegionCache::operator=(RegionCache&&) noexcept = default;
RegionCache::~RegionCache() = default;

Result<std::shared_ptr<Region>> RegionCache::get(ibv_pd* pd, const DmaBuf& buffer,
                                                 const CachedPart& part) {
  return core_->get(pd, buffer, part);
}

std::size_t RegionCache::forget(ibv_pd* pd) {
  return core_->forget([pd](const detail::CacheKey& key) { return key.pd == pd; });
}

std::size_t RegionCache::forget(const DmaBuf& buffer) {
  return core_->forget(
      [&](const detail::CacheKey& key) { return key.buffer == buffer.state()->file; });
}

RegionCacheStatistics RegionCache::statistics() const {
  return core_->statistics();
}

}  // namespace peermr
