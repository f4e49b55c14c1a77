/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * /dev/dmabuf_watch: learn of every invalidate of a dma-buf, whoever exported it.
 *
 * A watch is an importer that maps nothing. It is a file of its own: poll gives
 * POLLIN once there was an invalidate since the last read, and read returns how
 * many. It keeps the buffer alive, as any descriptor of it does.
 *
 * Anybody may watch a buffer of which they hold a descriptor: an attachment that
 * maps nothing gives no access to it. An exporter may consider attachments when it
 * places or pins a buffer, as it does for every importer. Watches are bounded for
 * each user, are charged to their maker, and are free again once their last
 * descriptor is closed.
 *
 * Rules for all structures: size is the caller's sizeof and comes first; what lies
 * beyond the kernel's own size must be 0 (E2BIG); reserved fields and unknown flags
 * must be 0, and a structure smaller than the kernel's first one is refused
 * (EINVAL). EFAULT: bad address. ENOTTY: no such ioctl.
 */
#ifndef PEERMR_DMABUF_WATCH_H
#define PEERMR_DMABUF_WATCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define DMABUF_WATCH_IOC_TYPE 0xb9

/* The watch's descriptor: */
#define DMABUF_WATCH_CLOEXEC (1u << 0)
#define DMABUF_WATCH_NONBLOCK (1u << 1)

/**
 * struct dmabuf_watch_create - watch a dma-buf
 * @size: sizeof(struct dmabuf_watch_create)
 * @flags: DMABUF_WATCH_*
 * @dmabuf_fd: the buffer
 * @pci_domain: the PCI device in whose name the watch attaches: the one that
 *              imports the buffer, usually. Exporters may refuse some devices
 * @pci_bus: its bus
 * @pci_devfn: its device number << 3 | function
 * @reserved: 0
 *
 * Returns the watch's descriptor. EBADF, EINVAL (not a dma-buf; flags), ENODEV (no
 * such PCI device; or what the exporter answers: mainline VFIO does so while the
 * memory is revoked), EDQUOT (the user has too many watches: the module's
 * parameter per_user), EOPNOTSUPP (the exporter refuses such importers), ENOMEM,
 * EMFILE.
 */
struct dmabuf_watch_create {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 pci_domain;
	__u8 pci_bus;
	__u8 pci_devfn;
	__u16 reserved;
};
#define DMABUF_WATCH_CREATE _IOW(DMABUF_WATCH_IOC_TYPE, 0, struct dmabuf_watch_create)

/**
 * struct dmabuf_watch_event - what read() of a watch returns, one for each read
 * @invalidates: since the last read, not 0
 * @total: since the watch was made
 * @first_ns: CLOCK_MONOTONIC of the first of @invalidates
 * @last_ns: CLOCK_MONOTONIC of the last of @invalidates
 *
 * A VFIO exporter calls back when it revokes and when it restores, without
 * saying which. EAGAIN (nothing, and O_NONBLOCK), EINVAL (less room than a whole
 * event), EINTR.
 */
struct dmabuf_watch_event {
	__aligned_u64 invalidates;
	__aligned_u64 total;
	__aligned_u64 first_ns;
	__aligned_u64 last_ns;
};

enum dmabuf_watch_state {
	DMABUF_WATCH_UNKNOWN = 0, /* the exporter is not one that says */
	DMABUF_WATCH_LIVE = 1,
	DMABUF_WATCH_REVOKED = 2, /* may come back */
	DMABUF_WATCH_HELD = 3,    /* until the owner re-arms it */
	DMABUF_WATCH_DEAD = 4,    /* never again */
	DMABUF_WATCH_PRIVATE = 5, /* nobody may map it */
};

/**
 * struct dmabuf_watch_status - counters and state, on a watch's descriptor
 * @size: sizeof(struct dmabuf_watch_status)
 * @flags: 0
 * @state: out: enum dmabuf_watch_state
 * @reserved: 0
 * @total: out: invalidates since the watch was made
 * @revokes: out: of the buffer, from the exporter; 0 where state is UNKNOWN
 *
 * Maps nothing and moves nothing. EINTR: an exporter may keep the buffer locked
 * while it waits for an importer.
 */
struct dmabuf_watch_status {
	__u32 size;
	__u32 flags;
	__u32 state;
	__u32 reserved;
	__aligned_u64 total;
	__aligned_u64 revokes;
};
#define DMABUF_WATCH_STATUS _IOWR(DMABUF_WATCH_IOC_TYPE, 1, struct dmabuf_watch_status)

/**
 * struct dmabuf_watch_probe - can the buffer be mapped right now?
 * @size: sizeof(struct dmabuf_watch_probe)
 * @flags: 0
 * @timeout_ms: go on trying so long; at most 10000 (EINVAL). An exporter may call
 *              back just before it allows mapping again. What cannot pass (EINVAL,
 *              EPERM, ENXIO, ...) ends it at once
 * @error: out: 0 if it was mapped (and unmapped again), else the errno of the last
 *         attempt. With most exporters ENODEV means both "revoked" and "gone".
 *         ENXIO: the watch's PCI device has no driver that uses the kernel's DMA
 *         mappings (none at all, unplugged, or VFIO: its DMA is its owner's). EBUSY:
 *         its driver is being changed, or it is being reset
 * @total: out: invalidates at the time of that attempt
 *
 * Maps for the watch's PCI device, for reading and writing, which may move a GPU's
 * buffer: so only on request, and only with CAP_SYS_RAWIO (EPERM). EINTR.
 */
struct dmabuf_watch_probe {
	__u32 size;
	__u32 flags;
	__u32 timeout_ms;
	__s32 error;
	__aligned_u64 total;
};
#define DMABUF_WATCH_PROBE _IOWR(DMABUF_WATCH_IOC_TYPE, 2, struct dmabuf_watch_probe)

#endif
