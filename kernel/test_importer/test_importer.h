/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * FOR TESTS ONLY: /dev/peermr_test_importer, an importer of dma-bufs whose manners a test chooses.
 * No stable interface; never installed on a machine that does other work.
 *
 * An open file is a session that has any number of attachments, known by numbers. Closing it ends
 * all of them, whatever they are in the middle of: fences signal, mappings go, and an exporter that
 * waits for either waits no more.
 *
 * Every structure begins with its size, which must be ours; unknown flags and values give EINVAL, a
 * number that is no attachment's ENOENT.
 */
#ifndef PEERMR_TEST_IMPORTER_H
#define PEERMR_TEST_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TEST_IMPORTER_IOC_TYPE 0xba

/* When a mapping goes after an invalidate. */
enum test_importer_unmap {
	TEST_IMPORTER_UNMAP_AT_ONCE = 0, /* within the callback */
	TEST_IMPORTER_UNMAP_LATE = 1,	 /* unmap_ms later */
	TEST_IMPORTER_UNMAP_NEVER = 2,	 /* when told: UNMAP, DETACH, close */
};

/* Whether an invalidate of a mapping leaves a fence (DMA_RESV_USAGE_BOOKKEEP). */
enum test_importer_fence {
	TEST_IMPORTER_FENCE_NONE = 0,
	TEST_IMPORTER_FENCE_LATE = 1,	/* signals fence_ms later */
	TEST_IMPORTER_FENCE_NEVER = 2,	/* when told: SIGNAL, DETACH, close */
};

enum test_importer_direction {
	TEST_IMPORTER_BIDIRECTIONAL = 0,
	TEST_IMPORTER_TO_DEVICE = 1,
	TEST_IMPORTER_FROM_DEVICE = 2,
};

#define TEST_IMPORTER_MAX_MS 60000

#define TEST_IMPORTER_PINNED 0x1u		/* pins before it maps for the first time */
#define TEST_IMPORTER_NO_PEER2PEER 0x2u	/* cannot handle memory without pages */
#define TEST_IMPORTER_NO_CALLBACK 0x4u	/* cannot be revoked */

/**
 * struct test_importer_attach - attach to a buffer; maps nothing yet
 * @size: sizeof
 * @flags: TEST_IMPORTER_*
 * @dmabuf_fd: the buffer
 * @pci_domain: the PCI device to attach and map for. The test keeps its driver bound
 * @pci_bus: its bus
 * @pci_devfn: its device number << 3 | function
 * @reserved: 0
 * @unmap: enum test_importer_unmap
 * @unmap_ms: at most TEST_IMPORTER_MAX_MS
 * @fence: enum test_importer_fence
 * @fence_ms: at most TEST_IMPORTER_MAX_MS
 * @direction: enum test_importer_direction
 * @id: out: the attachment's number
 */
struct test_importer_attach {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 pci_domain;
	__u8 pci_bus;
	__u8 pci_devfn;
	__u16 reserved;
	__u32 unmap;
	__u32 unmap_ms;
	__u32 fence;
	__u32 fence_ms;
	__u32 direction;
	__u32 id;
};

#define TEST_IMPORTER_ATTACH _IOWR(TEST_IMPORTER_IOC_TYPE, 0, struct test_importer_attach)

/**
 * struct test_importer_id - names an attachment
 * @size: sizeof
 * @id: which
 */
struct test_importer_id {
	__u32 size;
	__u32 id;
};

/* Map the buffer: EALREADY, or the exporter's error. EINTR. */
#define TEST_IMPORTER_MAP _IOW(TEST_IMPORTER_IOC_TYPE, 1, struct test_importer_id)
/* Unmap it; no error if it isn't mapped. EINTR. */
#define TEST_IMPORTER_UNMAP _IOW(TEST_IMPORTER_IOC_TYPE, 2, struct test_importer_id)
/* Signal its fence, if it has one. */
#define TEST_IMPORTER_SIGNAL _IOW(TEST_IMPORTER_IOC_TYPE, 3, struct test_importer_id)
/* Signal, unmap, unpin, detach. */
#define TEST_IMPORTER_DETACH _IOW(TEST_IMPORTER_IOC_TYPE, 4, struct test_importer_id)

/**
 * struct test_importer_query - what an attachment has been through; never waits
 * @size: sizeof
 * @id: which
 * @callbacks: of the exporter
 * @first_ns: CLOCK_MONOTONIC of the first, and of the last
 * @last_ns: see @first_ns
 * @invalidated: callbacks that found a mapping
 * @mapped: mappings made
 * @unmapped: mappings gone
 * @unmapped_ns: CLOCK_MONOTONIC of the end of the last one, 0 before
 * @fences: fences made
 * @segments: of the present mapping, 0 if there is none
 * @fence_pending: 1 while a fence has not signalled
 */
struct test_importer_query {
	__u32 size;
	__u32 id;
	__aligned_u64 callbacks;
	__aligned_u64 first_ns;
	__aligned_u64 last_ns;
	__aligned_u64 invalidated;
	__aligned_u64 mapped;
	__aligned_u64 unmapped;
	__aligned_u64 unmapped_ns;
	__aligned_u64 fences;
	__u32 segments;
	__u32 fence_pending;
};

#define TEST_IMPORTER_QUERY _IOWR(TEST_IMPORTER_IOC_TYPE, 5, struct test_importer_query)

struct test_importer_segment {
	__aligned_u64 address;
	__aligned_u64 length;
};

#define TEST_IMPORTER_MAX_SEGMENTS 65536

/**
 * struct test_importer_segments - DMA addresses of the present mapping
 * @size: sizeof
 * @id: which
 * @room: elements that @segments has room for, at most TEST_IMPORTER_MAX_SEGMENTS
 * @count: out: how many there are; as many as there is room for were written
 * @segments: address of struct test_importer_segment
 *
 * ENODATA: not mapped. EINTR.
 */
struct test_importer_segments {
	__u32 size;
	__u32 id;
	__u32 room;
	__u32 count;
	__aligned_u64 segments;
};

#define TEST_IMPORTER_SEGMENTS _IOWR(TEST_IMPORTER_IOC_TYPE, 6, struct test_importer_segments)

#endif
