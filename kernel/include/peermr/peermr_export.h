/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * Export of PCI device memory as dma-bufs that can be taken back: what peermr's
 * exporters offer beyond feature 11 of VFIO (vfio_dmabuf.h). The structures are
 * the same for every driver that has them; how they travel is the driver's:
 * peermr_vfio.h (VFIO_DEVICE_FEATURE) and peermr_bar.h (ioctls).
 *
 * Rules for all structures: size is the caller's sizeof and comes first; what
 * lies beyond the kernel's own size must be 0; reserved fields and unknown flags
 * must be 0. A file descriptor that is not a dma-buf, or a dma-buf that this
 * device did not export, gives EINVAL.
 */
#ifndef PEERMR_EXPORT_H
#define PEERMR_EXPORT_H

#include <linux/types.h>

/* Most ranges that one buffer may have, before adjacent ones are merged. */
#define PEERMR_EXPORT_MAX_RANGES 4096

/* Nobody may mmap the buffer (EPERM). Needed where a revoke must be a promise: VFIO
 * type1 pins BAR pages out of a mapping and is never told of a revoke. */
#define PEERMR_EXPORT_NO_MMAP (1u << 0)
/* After a revoke the buffer stays unmappable until its owner re-arms it. */
#define PEERMR_EXPORT_MANUAL_REARM (1u << 1)
/* mmap is write-combining. EOPNOTSUPP unless the whole BAR is mapped so. */
#define PEERMR_EXPORT_WRITE_COMBINE (1u << 2)
/* The kernel's own VFIO exporter makes the buffer, with its promises instead of
 * ours: iommufd imports only such buffers. Excludes all other flags; no other
 * structure of this file takes the buffer. VFIO only. */
#define PEERMR_EXPORT_DELEGATE (1u << 3)

/**
 * struct peermr_export_range - a part of a BAR
 * @offset: first byte within the BAR; a multiple of the page size
 * @length: number of bytes; a multiple of the page size, not 0
 */
struct peermr_export_range {
	__u64 offset;
	__u64 length;
};

/**
 * struct peermr_export_create - export parts of a BAR as one dma-buf
 * @size: sizeof(struct peermr_export_create)
 * @flags: PEERMR_EXPORT_*
 * @bar: 0 to 5
 * @open_flags: of the new descriptor: O_RDONLY or O_RDWR, and O_CLOEXEC. A
 *              read-only buffer can be written by nobody: importers that may
 *              write are refused with EACCES (RDMA drivers always may), and so
 *              are writable mappings
 * @nr_ranges: 1 to PEERMR_EXPORT_MAX_RANGES
 * @reserved: 0
 * @ranges: address of as many struct peermr_export_range; the buffer consists of
 *          them in this order. They may overlap.
 *
 * Returns the new descriptor. A buffer that is exported while the device's
 * memory is revoked is born revoked.
 *
 * EINVAL (a range empty, unaligned or past the BAR; flags; BAR of I/O ports),
 * EOVERFLOW (a range or the sum wraps), ENODEV (no such BAR, BAR not claimed,
 * device closed or going away), E2BIG (too many ranges), EOPNOTSUPP (write
 * combining), EPERM (the device is private and the flags allow mmap),
 * ENOMEM, EMFILE.
 */
struct peermr_export_create {
	__u32 size;
	__u32 flags;
	__u32 bar;
	__u32 open_flags;
	__u32 nr_ranges;
	__u32 reserved;
	__aligned_u64 ranges;
};

/**
 * struct peermr_export_revoke - take a buffer back for good
 * @size: sizeof(struct peermr_export_revoke)
 * @flags: 0
 * @dmabuf_fd: any descriptor of the buffer
 * @reserved: 0
 *
 * On return no importer and no mapping reaches the memory, nor ever will
 * through this buffer. Waits for importers to let go; a fatal signal or any
 * other ends the wait with EINTR, the buffer being dead all the same: no new
 * mapping is possible, and a second call resumes the wait.
 *
 * EBADFD (was dead already, and nothing is mapped any more), ENODEV (the device
 * is closed), EINVAL, EBADF, EINTR.
 */
struct peermr_export_revoke {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 reserved;
};

/* Change what happens after later revokes. At most one of them. */
#define PEERMR_REARM_MANUAL (1u << 0)
#define PEERMR_REARM_AUTOMATIC (1u << 1)
/* Only change that; do not re-arm. */
#define PEERMR_REARM_MODE_ONLY (1u << 2)

/**
 * struct peermr_export_rearm - let importers map a buffer again
 * @size: sizeof(struct peermr_export_rearm)
 * @flags: PEERMR_REARM_*
 * @dmabuf_fd: any descriptor of the buffer
 * @reserved: 0
 * @revokes: the buffer's number of revokes that the caller has dealt with, from
 *           struct peermr_export_query. If there was another one since, nothing
 *           happens and the call fails with ESTALE: the memory may have been
 *           reset after the caller looked
 *
 * Re-arming a buffer that is live succeeds and does nothing. EAGAIN (the
 * device's memory is revoked at the moment), EBADFD (dead), ESTALE, ENODEV,
 * EINVAL, EBADF. Read @revokes while the buffer is held: until then more resets
 * may come within the same revoke.
 */
struct peermr_export_rearm {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 reserved;
	__aligned_u64 revokes;
};

enum peermr_export_state {
	PEERMR_EXPORT_LIVE = 0,    /* can be mapped */
	PEERMR_EXPORT_REVOKED = 1, /* cannot, until the device's memory is back */
	PEERMR_EXPORT_HELD = 2,    /* cannot, until its owner re-arms it */
	PEERMR_EXPORT_DEAD = 3,    /* never again */
};

enum peermr_export_cache {
	PEERMR_EXPORT_UNCACHED = 0,
	PEERMR_EXPORT_COMBINING = 1,
};

/**
 * struct peermr_export_query - what a buffer is and has been through
 * @size: sizeof(struct peermr_export_query)
 * @flags: in: 0; out: the PEERMR_EXPORT_* flags in force (MANUAL_REARM as it is now)
 * @dmabuf_fd: in: any descriptor of the buffer
 * @state: enum peermr_export_state
 * @bytes: size of the buffer
 * @revokes: times that the buffer, or the device's memory below it, was revoked:
 *           being born so included, and revokes while it was held
 * @restores: times that it became mappable again
 * @invalidates: callbacks that each importer attached throughout has had
 * @mappings: mappings that importers hold now
 * @mapped: mappings ever made
 * @faults: pages, of any size, that mmap users faulted in
 * @nr_ranges: after merging adjacent ones
 * @bar: of the device
 * @read_only: 1 or 0
 * @cache: enum peermr_export_cache, of mmap
 * @waiting: 1 while a revoke waits for an importer
 * @private_memory: 1 or 0
 *
 * ENODEV, EINVAL, EBADF.
 */
struct peermr_export_query {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 state;
	__aligned_u64 bytes;
	__aligned_u64 revokes;
	__aligned_u64 restores;
	__aligned_u64 invalidates;
	__aligned_u64 mappings;
	__aligned_u64 mapped;
	__aligned_u64 faults;
	__u32 nr_ranges;
	__u32 bar;
	__u8 read_only;
	__u8 cache;
	__u8 waiting;
	__u8 private_memory;
	__u32 reserved;
};

/* Why a device's memory is revoked now. */
#define PEERMR_WHY_MEMORY (1u << 0)    /* memory decode off, D3hot, low power */
#define PEERMR_WHY_RESET (1u << 1)     /* a reset is under way */
#define PEERMR_WHY_CHANGE (1u << 2)    /* its owner is changing one of the above */
#define PEERMR_WHY_POWER (1u << 3)     /* suspended at run time */
#define PEERMR_WHY_SUSPEND (1u << 4)   /* the system sleeps */
#define PEERMR_WHY_ERROR (1u << 5)     /* AER recovery */
#define PEERMR_WHY_PRIVATE (1u << 6)   /* private memory */
#define PEERMR_WHY_REMOVED (1u << 7)   /* driver unbound, device unplugged, closed */

/**
 * struct peermr_export_info - the exporter of this device
 * @size: sizeof(struct peermr_export_info)
 * @flags: in: 0; out: the PEERMR_EXPORT_* flags that create takes here
 * @why: PEERMR_WHY_*; 0: memory can be mapped
 * @combining_bars: bit n: BAR n is mapped write-combining
 * @revokes: times that the device's memory was revoked since it was opened
 * @restores: times that it came back
 * @buffers: buffers that exist now
 * @waiting: 1 while a revoke waits for importers
 * @private_memory: 1 or 0
 * @late_revokes: revokes that came after the fact, because another thread
 *                changed a write to configuration space while it was under way
 */
struct peermr_export_info {
	__u32 size;
	__u32 flags;
	__u32 why;
	__u32 combining_bars;
	__aligned_u64 revokes;
	__aligned_u64 restores;
	__aligned_u64 late_revokes;
	__u32 buffers;
	__u8 waiting;
	__u8 private_memory;
	__u16 reserved;
};

/* Take existing mappings of the BARs away, instead of refusing with EBUSY. */
#define PEERMR_PRIVATE_ZAP (1u << 0)

/**
 * struct peermr_export_private - make the device's memory private to a VM
 * @size: sizeof(struct peermr_export_private)
 * @flags: PEERMR_PRIVATE_*
 *
 * Until the device is closed: no map and no mmap of any buffer, no mmap, read or
 * write of its BARs. The VM is the one that VFIO was told of (the KVM device's
 * file attribute), or none. Cannot be undone. VFIO type1 keeps what it pinned out
 * of a mapping before: without ZAP the call is refused with EBUSY if a BAR or a
 * buffer was ever mmapped, or an ioeventfd set, since the device was opened.
 * EBUSY with ZAP too while ioeventfds are set, or if a buffer was delegated since.
 * EALREADY, EINTR.
 */
struct peermr_export_private {
	__u32 size;
	__u32 flags;
};

#endif
