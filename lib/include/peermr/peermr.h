/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: the same objects as the C++ interface, whose headers say more
 * (peermr/vfio.hpp, peermr/region.hpp, peermr/lease.hpp, peermr/topology.hpp).
 *
 * Functions that return int return 0 or a negative errno value. After a failure
 * peermr_last_error() has the whole sentence: what, on which object, why, and
 * what to do. Objects are freed by their close function only, which takes null.
 * Unless it says otherwise a function is thread-safe for one object, except
 * against that object's close. Strings and structs that are passed are not kept.
 */
#ifndef PEERMR_PEERMR_H
#define PEERMR_PEERMR_H

#include <stddef.h>
#include <stdint.h>

#define PEERMR_PUBLIC __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

struct ibv_pd;
struct peermr_device;
struct peermr_dma_buf;
struct peermr_event_queue; /* peermr/peermr_events.h */
struct peermr_monitor; /* peermr/peermr_watch.h */
struct peermr_region;

/*
 * The calling thread's last failure as text, "" when there was none. Valid until
 * the next failure on this thread.
 */
PEERMR_PUBLIC const char *peermr_last_error(void);

/* ---- VFIO devices --------------------------------------------------------- */

/*
 * Opens a PCI device that is bound to a VFIO driver; `bdf` as "0000:04:00.0".
 *   -EINVAL  no such form of address
 *   -ENODEV  no such device, or a driver that is not VFIO's has it
 *   -EBUSY   its IOMMU group is in use, by a host driver or another process
 */
PEERMR_PUBLIC int peermr_device_open(const char *bdf, struct peermr_device **device);

/*
 * Resets the device under live regions: takes their keys away, waits for leases,
 * resets, registers again. Blocks.
 *   -EDEADLK     this thread holds a lease
 *   -EOPNOTSUPP  the device has no reset of its own
 */
PEERMR_PUBLIC int peermr_device_reset(struct peermr_device *device);

/* Memory decode off revokes all that was exported; on restores it. As reset. */
PEERMR_PUBLIC int peermr_device_set_memory_enabled(struct peermr_device *device, int enabled);

enum peermr_power {
	PEERMR_POWER_ON = 0, /* D0 */
	PEERMR_POWER_SLEEP = 1, /* D3hot: revokes all that was exported */
};

/* As reset. -EOPNOTSUPP: the device has no power management. */
PEERMR_PUBLIC int peermr_device_set_power(struct peermr_device *device, enum peermr_power power);

/*
 * Takes the keys of all regions on the device's memory away, as a reset does, and
 * does nothing to the device; until peermr_device_resume(), or a reset.
 */
PEERMR_PUBLIC int peermr_device_quiesce(struct peermr_device *device);
/* -EAGAIN: memory decode is off; -EDEADLK as reset. */
PEERMR_PUBLIC int peermr_device_resume(struct peermr_device *device);

/* Regions on its memory are dead afterwards; they still have to be closed. -EDEADLK as above, and
 * then nothing has happened. */
PEERMR_PUBLIC int peermr_device_close(struct peermr_device *device);

/* A part of a BAR in bytes: multiples of the page size, length not 0. */
struct peermr_range {
	uint64_t offset;
	uint64_t length;
};

#define PEERMR_EXPORT_READ_ONLY 1u
/* Not with every exporter; see peermr::vfio::ExportOptions. */
#define PEERMR_EXPORT_WITH_MMAP 2u
#define PEERMR_EXPORT_WITH_MANUAL_REARM 4u
#define PEERMR_EXPORT_WITH_WRITE_COMBINE 8u
#define PEERMR_EXPORT_DELEGATED 16u

/*
 * Exports parts of a memory BAR, one after the other, as one dma-buf.
 *   -EINVAL      what is wrong with BAR or range
 *   -EOPNOTSUPP  kernel or driver cannot export, or lacks what a flag asks for
 */
PEERMR_PUBLIC int peermr_device_export(const struct peermr_device *device, unsigned int bar,
				       const struct peermr_range *ranges, size_t nr_ranges,
				       unsigned int flags, struct peermr_dma_buf **buffer);

/* ---- dma-bufs ------------------------------------------------------------- */

/* Takes the descriptor over, also on failure. `name` is for messages; may be null. */
PEERMR_PUBLIC int peermr_dma_buf_adopt(int fd, const char *name, struct peermr_dma_buf **buffer);
/* Borrowed. */
PEERMR_PUBLIC int peermr_dma_buf_fd(const struct peermr_dma_buf *buffer);
PEERMR_PUBLIC uint64_t peermr_dma_buf_size(const struct peermr_dma_buf *buffer);
/* Regions keep the buffer open by themselves. */
PEERMR_PUBLIC void peermr_dma_buf_close(struct peermr_dma_buf *buffer);

/* ---- The exporter of a device --------------------------------------------- */

#define PEERMR_CAN_EXPORT 1u /* dma-bufs at all */
#define PEERMR_CAN_MMAP 2u
#define PEERMR_CAN_MANUAL_REARM 4u
#define PEERMR_CAN_WRITE_COMBINE 8u /* on some BAR */
#define PEERMR_CAN_DELEGATE 16u
#define PEERMR_CAN_REVOKE 32u
#define PEERMR_CAN_QUERY 64u
#define PEERMR_CAN_BE_PRIVATE 128u

/* What the device's exporter can do: PEERMR_CAN_*, found by asking it. */
PEERMR_PUBLIC uint32_t peermr_device_features(const struct peermr_device *device);

enum peermr_buffer_state {
	PEERMR_BUFFER_LIVE = 0,
	PEERMR_BUFFER_REVOKED = 1, /* until the device's memory is back */
	PEERMR_BUFFER_HELD = 2, /* until peermr_device_rearm() */
	PEERMR_BUFFER_DEAD = 3, /* for good */
};

/* Set `size` before the call. */
struct peermr_buffer_status {
	size_t size; /* sizeof(struct peermr_buffer_status) */
	int32_t state; /* enum peermr_buffer_state */
	uint32_t waiting; /* 1: a revoke waits for an importer */
	uint64_t revokes;
	uint64_t restores;
	uint64_t mappings; /* that importers hold now */
};

/* From here on -EOPNOTSUPP: the exporter lacks the feature; -EINVAL: it did not make the buffer. */
PEERMR_PUBLIC int peermr_device_query(const struct peermr_device *device,
				      const struct peermr_dma_buf *buffer,
				      struct peermr_buffer_status *status);

/* Takes the buffer back for good; waits for importers. -ENODEV: it was so before. */
PEERMR_PUBLIC int peermr_device_revoke(struct peermr_device *device,
				       const struct peermr_dma_buf *buffer);

/*
 * Lets importers map the buffer again, after `revokes` revokes.
 *   -ESTALE  it was revoked once more since
 *   -EAGAIN  the device's memory is away now
 *   -EDEADLK  this thread holds a lease
 */
PEERMR_PUBLIC int peermr_device_rearm(struct peermr_device *device,
				      const struct peermr_dma_buf *buffer, uint64_t revokes);

/* For good; `zap` takes mappings away that are -EBUSY without it. */
PEERMR_PUBLIC int peermr_device_make_private(struct peermr_device *device, int zap);

/* ---- Regions -------------------------------------------------------------- */

enum peermr_state {
	PEERMR_REGION_LIVE = 0,
	PEERMR_REGION_REVOKED = 1,
	PEERMR_REGION_RESTORING = 2,
	PEERMR_REGION_DEAD = 3,
};

enum peermr_revoke_policy {
	PEERMR_ON_REVOKE_PAUSE = 0, /* the library brings the region back */
	PEERMR_ON_REVOKE_FAIL = 1, /* dead at once */
	PEERMR_ON_REVOKE_HAND_OVER = 2, /* revoked until peermr_region_recover() */
};

enum peermr_key_policy {
	PEERMR_KEYS_STABLE = 0, /* keep the key where the importer can */
	PEERMR_KEYS_FRESH = 1, /* a new key after each revoke */
};

/* Zero all, set `size`, then what differs. */
struct peermr_region_options {
	size_t size; /* sizeof(struct peermr_region_options) */
	uint64_t offset; /* first byte within the buffer */
	uint64_t length; /* 0: all from the offset on */
	uint64_t address; /* of the first byte, with PEERMR_REGION_ADDRESS */
	uint32_t flags; /* PEERMR_REGION_* */
	int32_t access; /* IBV_ACCESS_*; 0: local write, remote read and write */
	int32_t on_revoke; /* enum peermr_revoke_policy */
	int32_t keys; /* enum peermr_key_policy */
	const struct peermr_monitor *monitor; /* tells what others do; may be null */
	struct peermr_event_queue *events; /* gets the region's; may be null */
	uint64_t cookie; /* by which its reader knows the region */
};

/* options.address counts; without it the address is the offset. */
#define PEERMR_REGION_ADDRESS 1u

/*
 * Registers a part of `buffer` with `pd`, which the caller keeps until the region
 * is closed. `options` may be null.
 *   -EINVAL      part, address, access or options
 *   -EOPNOTSUPP  the importer cannot, the exporter refuses it, or there is no
 *                peer-to-peer path
 *   -EAGAIN      the memory is revoked now
 */
PEERMR_PUBLIC int peermr_region_register(struct ibv_pd *pd, const struct peermr_dma_buf *buffer,
					 const struct peermr_region_options *options,
					 struct peermr_region **region);

struct peermr_keys {
	uint64_t address; /* of the first byte */
	uint64_t length;
	uint64_t generation; /* counts revokes */
	uint64_t key_epoch; /* counts keys */
	uint32_t lkey;
	uint32_t rkey;
};

/* On the caller's stack; belongs to the thread. */
struct peermr_lease {
	struct peermr_keys keys;
	uint64_t internal[2];
};

/*
 * The keys, to post with until peermr_lease_leave(): so long the library does not
 * deregister them. Wait-free. Returns 0, or -EAGAIN without keys when the region
 * is not live now (then there is nothing to leave, and no error text).
 */
PEERMR_PUBLIC int peermr_lease_enter(const struct peermr_region *region,
				     struct peermr_lease *lease);
PEERMR_PUBLIC void peermr_lease_leave(struct peermr_lease *lease);

/* A copy of the keys to tell a peer; -EAGAIN as above. */
PEERMR_PUBLIC int peermr_region_keys(const struct peermr_region *region, struct peermr_keys *keys);

PEERMR_PUBLIC enum peermr_state peermr_region_state(const struct peermr_region *region);

enum peermr_verdict {
	PEERMR_COMPLETION_UNRELATED = 0, /* no revoke explains it */
	PEERMR_COMPLETION_STALE = 1, /* a revoke that is over: post again */
	PEERMR_COMPLETION_REVOKED = 2, /* call peermr_region_recover() */
};

/*
 * How a work request ended (enum ibv_wc_status) that was posted under a lease of
 * `generation`. Wait-free.
 */
PEERMR_PUBLIC enum peermr_verdict peermr_region_report_completion(struct peermr_region *region,
								  int status, uint64_t generation);

/*
 * Brings the region back; tries for `limit_ns` (negative: the default of two
 * seconds). Blocks.
 *   -EAGAIN   not within the limit
 *   -ENODEV   the region is dead
 *   -EDEADLK  this thread holds a lease
 */
PEERMR_PUBLIC int peermr_region_recover(struct peermr_region *region, int64_t limit_ns);

/* Deregisters keys older than `key_epoch`: peers have newer ones. -EDEADLK: this thread holds a lease. */
PEERMR_PUBLIC int peermr_region_release_keys_before(struct peermr_region *region,
						    uint64_t key_epoch);

/*
 * Waits for leases, deregisters, frees. -EDEADLK: this thread holds one, and
 * nothing happened. A region from a cache (peermr/peermr_cache.h) is let go of.
 */
PEERMR_PUBLIC int peermr_region_close(struct peermr_region *region);

/* ---- Paths ---------------------------------------------------------------- */

enum peermr_p2p_path {
	PEERMR_PATH_UNKNOWN = 0,
	PEERMR_PATH_BUS_ADDRESS = 1,
	PEERMR_PATH_HOST_BRIDGE = 2,
	PEERMR_PATH_NOT_SUPPORTED = 3,
};

struct peermr_path {
	enum peermr_p2p_path path;
	unsigned int distance; /* ports between the two */
	char reason[512]; /* one sentence, cut if need be */
};

/*
 * The way from `client`, which does the DMA, to the memory of `provider`, as the
 * kernel will decide it. -ENODEV: one of them does not exist.
 */
PEERMR_PUBLIC int peermr_predict_path(const char *provider, const char *client,
				      struct peermr_path *path);

#ifdef __cplusplus
}
#endif

#endif
