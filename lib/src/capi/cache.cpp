// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_cache.h"

#include "capi/call.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;

namespace {

constexpr std::string_view kFind = "find region";

peermr::Result<peermr::CachedPart> to_cpp(const peermr_cached_part* part) {
  peermr::CachedPart result;
  if (part == nullptr) return result;
  if (part->size != sizeof(*part) || (part->flags & ~PEERMR_REGION_ADDRESS) != 0) {
    return peermr::make_error(std::errc::invalid_argument, kFind, "",
                              "part.size is not the size of the struct, or unknown flags");
  }
  result.offset_bytes = part->offset;
  result.length_bytes = part->length;
  if ((part->flags & PEERMR_REGION_ADDRESS) != 0) result.address = peermr::Iova(part->address);
  if (part->access != 0) result.access = part->access;
  return result;
}

}  // namespace

extern "C" {

int peermr_region_cache_create(size_t unused, const peermr_region_options* region,
                               peermr_region_cache** cache) {
  if (cache == nullptr) return refuse_null("make region cache");
  return guarded([&] {
    const auto options = peermr::capi::to_cpp(region);
    if (!options) return fail(options.error());
    auto followers = std::make_shared<peermr::capi::Followers>();
    *cache = new peermr_region_cache{
        .cache = peermr::RegionCache(
            {.unused = unused, .region = peermr::capi::with_followers(*options, followers)}),
        .followers = followers};
    return 0;
  });
}

int peermr_region_cache_get(peermr_region_cache* cache, ibv_pd* pd, const peermr_dma_buf* buffer,
                            const peermr_cached_part* part, peermr_region** region) {
  if (cache == nullptr || pd == nullptr || buffer == nullptr || region == nullptr) {
    return refuse_null(kFind);
  }
  return guarded([&] {
    auto got = to_cpp(part).and_then(
        [&](const peermr::CachedPart& cpp) { return cache->cache.get(pd, buffer->buffer, cpp); });
    if (!got) return fail(got.error());
    *region =
        new peermr_region{.region = *std::move(got), .cached = true, .followers = cache->followers};
    return 0;
  });
}

size_t peermr_region_cache_forget_pd(peermr_region_cache* cache, ibv_pd* pd) {
  return cache != nullptr ? cache->cache.forget(pd) : 0;
}

size_t peermr_region_cache_forget_buffer(peermr_region_cache* cache, const peermr_dma_buf* buffer) {
  return cache != nullptr && buffer != nullptr ? cache->cache.forget(buffer->buffer) : 0;
}

void peermr_region_cache_close(peermr_region_cache* cache) {
  delete cache;
}

}  // extern "C"
