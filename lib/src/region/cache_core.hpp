// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "peermr/region_cache.hpp"
#include "vfio/dma_buf_state.hpp"

namespace peermr::detail {

struct CacheKey {
  ibv_pd* pd = nullptr;
  FileId buffer;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  std::uint64_t address = 0;
  int access = 0;

  auto operator<=>(const CacheKey&) const = default;
};

/// A RegionCache, on a way to make regions that tests replace.
class CacheCore {
 public:
  using Make = std::function<Result<Region>(ibv_pd*, const DmaBuf&, const RegionOptions&)>;

  CacheCore(const RegionCacheOptions& options, Make make);

  Result<std::shared_ptr<Region>> get(ibv_pd* pd, const DmaBuf& buffer, const CachedPart& part);
  /// Returns how many of those forgotten others use.
  std::size_t forget(const std::function<bool(const CacheKey&)>& matches);
  [[nodiscard]] RegionCacheStatistics statistics() const;

 private:
  struct Slot {
    std::mutex registering;          // held by who makes the region, or brings it back
    std::shared_ptr<Region> region;  // null: being made. Written under both mutexes
    std::list<CacheKey>::iterator use;
  };
  struct Entry {
    std::shared_ptr<Slot> slot;
    std::shared_ptr<Region> live;  // null: see to the slot
  };
  using Regions = std::vector<std::shared_ptr<Region>>;

  Entry enter(const CacheKey& key);
  Result<std::shared_ptr<Region>> make_ready(Slot& slot, ibv_pd* pd, const DmaBuf& buffer,
                                             const CachedPart& part);
  std::shared_ptr<Region> count(const std::shared_ptr<Region>& region,
                                std::uint64_t RegionCacheStatistics::* what);
  void drop(const CacheKey& key, const Slot& slot);
  Regions evict();

  const RegionCacheOptions options_;
  const Make make_;
  mutable std::mutex mutex_;  // protects what follows; no region is made or closed under it
  std::map<CacheKey, std::shared_ptr<Slot>> slots_;
  std::list<CacheKey> by_use_;  // of all slots, the latest last
  RegionCacheStatistics statistics_;
};

}  // namespace peermr::detail
