/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: a cache of regions, so that registering the same again costs a
 * lookup. The rules of peermr/peermr.h hold; peermr/region_cache.hpp says more.
 */
#ifndef PEERMR_PEERMR_CACHE_H
#define PEERMR_PEERMR_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "peermr/peermr.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peermr_region_cache;

/*
 * Keeps up to `unused` regions that nobody uses. `region` (may be null) says what
 * all have in common: policies, monitor, events, cookie; its part, address and
 * access do not count. What it points to must outlive the cache.
 */
PEERMR_PUBLIC int peermr_region_cache_create(size_t unused,
					     const struct peermr_region_options *region,
					     struct peermr_region_cache **cache);

/* Set `size` before the call. */
struct peermr_cached_part {
	size_t size; /* sizeof(struct peermr_cached_part) */
	uint64_t offset; /* first byte within the buffer */
	uint64_t length; /* 0: all from the offset on */
	uint64_t address; /* of the first byte, with PEERMR_REGION_ADDRESS */
	uint32_t flags; /* PEERMR_REGION_ADDRESS */
	int32_t access; /* IBV_ACCESS_*; 0: local write, remote read and write */
};

/*
 * A live region, shared with others who ask for the same; let go of it with
 * peermr_region_close(). `part` may be null: all of the buffer. Errors as
 * peermr_region_register() and peermr_region_recover().
 *   -EDEADLK  this thread holds a lease, and the region is not there live
 */
PEERMR_PUBLIC int peermr_region_cache_get(struct peermr_region_cache *cache, struct ibv_pd *pd,
					  const struct peermr_dma_buf *buffer,
					  const struct peermr_cached_part *part,
					  struct peermr_region **region);

/* Before the PD is deallocated. How many of its regions are still used. */
PEERMR_PUBLIC size_t peermr_region_cache_forget_pd(struct peermr_region_cache *cache,
						   struct ibv_pd *pd);
/* The same for a buffer. */
PEERMR_PUBLIC size_t peermr_region_cache_forget_buffer(struct peermr_region_cache *cache,
						       const struct peermr_dma_buf *buffer);

/* Regions that are used stay with their users. */
PEERMR_PUBLIC void peermr_region_cache_close(struct peermr_region_cache *cache);

#ifdef __cplusplus
}
#endif

#endif
