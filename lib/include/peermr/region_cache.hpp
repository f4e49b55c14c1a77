// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "peermr/dma_buf.hpp"
#include "peermr/export.hpp"
#include "peermr/region.hpp"
#include "peermr/result.hpp"

namespace peermr {

namespace detail {
class CacheCore;
}

struct RegionCacheOptions {
  /// Regions that are kept though nobody uses them; beyond that the one unused for longest goes.
  std::size_t unused = 256;
  /// What all regions of the cache have in common; offset, length, address and access do not count.
  /// What it points to must outlive the cache.
  /// With a monitor a region whose memory others have revoked is known to be stale before anybody
  /// uses it; without one, only revokes by this process and what completions show are known.
  RegionOptions region = {};
};

/// The part of a buffer that is registered, and for what.
struct CachedPart {
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;      ///< 0: all from the offset on
  std::optional<Iova> address = {};    ///< as RegionOptions::address
  int access = RegionOptions{}.access;
};

struct RegionCacheStatistics {
  std::uint64_t hits = 0;      ///< live regions that were there
  std::uint64_t misses = 0;    ///< regions that had to be registered
  std::uint64_t revived = 0;   ///< hits that had been revoked, and were brought back
  std::uint64_t replaced = 0;  ///< dead regions whose place a new one took: misses too
  std::uint64_t evicted = 0;
  std::size_t regions = 0;  ///< now
};

/// Regions by buffer, part, protection domain and access, so that registering the same again costs
/// a lookup. What is handed out is live: a region that has lost its memory is brought back first,
/// or replaced. Two descriptors of one dma-buf are one buffer; two exports of the same memory are
/// two, since each can be taken back alone.
///
/// Moves. Thread-safe but for moves and the destructor. Registering one region does not hold up
/// lookups of others.
class PEERMR_API RegionCache {
 public:
  explicit RegionCache(const RegionCacheOptions& options = {});
  RegionCache(RegionCache&&) noexcept;
  RegionCache& operator=(RegionCache&&) noexcept;
  /// Regions that are still used stay with their users.
  ~RegionCache();

  /// A live region. Shared with others who ask for the same: do not close() it, let go of it. The
  /// cache keeps `buffer` open. Blocks where it registers or brings back.
  ///
  /// Errors: as Region::create() and Region::recover(); Errc::kLeaseHeld when this thread holds a
  /// lease and the region is not there live. Nothing is cached then.
  [[nodiscard]] Result<std::shared_ptr<Region>> get(ibv_pd* pd, const DmaBuf& buffer,
                                                    const CachedPart& part = {});

  /// Forgets all regions of `pd`, to be called before it is deallocated. Returns how many of them
  /// are still used by others.
  std::size_t forget(ibv_pd* pd);
  /// Forgets those of `buffer`, which is then open only as long as others use it.
  std::size_t forget(const DmaBuf& buffer);

  [[nodiscard]] RegionCacheStatistics statistics() const;

 private:
  std::unique_ptr<detail::CacheCore> core_;
};

}  // namespace peermr
