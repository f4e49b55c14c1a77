/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share: the exporter and its buffers.
 *
 * A buffer belongs to its dma-buf and is freed by the dma-buf's release; it
 * holds a reference of the exporter, and is on the exporter's list for as long
 * as it exists. Who needs it outside of `lock` holds the dma-buf's file.
 */
#ifndef PEERMR_EXPORT_INTERNAL_H
#define PEERMR_EXPORT_INTERNAL_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "compat.h"
#include "peermr_exporter.h"

struct p2pdma_provider;
struct seq_file;

#define PEERMR_EXPORT_FLAGS (PEERMR_EXPORT_NO_MMAP | \
			     PEERMR_EXPORT_MANUAL_REARM | \
			     PEERMR_EXPORT_WRITE_COMBINE)

/* Reasons that end with the owner's closing of the device. */
#define PEERMR_WHY_OF_OWNER (PEERMR_WHY_MEMORY | PEERMR_WHY_CHANGE | \
			     PEERMR_WHY_PRIVATE)

/**
 * struct peermr_exporter - a device whose memory is exported
 * @kref: the driver's reference, and one of each buffer
 * @offered: flags that the driver handles
 * @pdev: used only on behalf of the driver
 * @name: the device's, for messages
 * @debugfs: its file
 * @transition: held while the device's memory is revoked, restored or closed,
 *              waits included. Whoever holds it and sees a reason knows that no
 *              buffer is mapped. Protects peermr_buffer.walk
 * @drained: woken when a buffer lost its last mapping
 * @waiting: a holder of @transition waits for importers
 * @is_private: set while @lock is held
 * @kvm: stable while @is_private is set
 * @lock: protects what follows
 * @buffers: all that exist, dead ones too
 * @nr_buffers: length of it
 * @reasons: PEERMR_WHY_*. Bits are set with @transition held too
 * @open: buffers can be made
 * @mmapped: a buffer was mmapped since it was opened
 * @claimed: see peermr_exporter_open()
 * @combining: likewise
 * @revokes: counts as in struct peermr_export_info
 * @restores: likewise
 * @late_revokes: likewise
 */
struct peermr_exporter {
	struct kref kref;
	u32 offered;
	struct pci_dev *pdev;
	char name[32];
	struct dentry *debugfs;

	struct mutex transition; /* a revoke, restore or close */
	wait_queue_head_t drained;
	bool waiting;
	bool is_private;
	struct kvm *kvm;

	struct mutex lock; /* reasons, buffers and counts */
	struct list_head buffers;
	u32 nr_buffers;
	u32 reasons;
	bool open;
	bool mmapped;
	u32 claimed;
	u32 combining;
	u64 revokes;
	u64 restores;
	u64 late_revokes;
};

/* Why a buffer cannot be mapped. None: it is live. */
#define PEERMR_BUFFER_DEVICE BIT(0)	/* the device's memory is revoked */
#define PEERMR_BUFFER_HELD BIT(1)	/* until its owner re-arms it */
#define PEERMR_BUFFER_DEAD BIT(2)	/* for good */

/**
 * struct peermr_range - memory that is contiguous
 * @phys: where it is
 * @first_page: within the buffer
 */
struct peermr_range {
	struct phys_vec phys;
	unsigned long first_page;
};

/**
 * struct peermr_buffer - the private part of a dma-buf
 * @exporter: holds a reference
 * @dmabuf: valid as long as the buffer exists
 * @provider: not to be used once the buffer is dead: the device may be gone
 * @flags: PEERMR_EXPORT_*; MANUAL_REARM changes under dma_resv
 * @bar: where the ranges are
 * @read_only: no writes by anybody
 * @size: bytes
 * @fault_lock: held by faults between looking at @state and inserting the page;
 *              taken below dma_resv, and below mmap_lock
 * @state: PEERMR_BUFFER_*, written under dma_resv and @fault_lock
 * @revokes: counts as in struct peermr_export_query, under dma_resv
 * @restores: likewise
 * @invalidates: likewise
 * @mapped: likewise
 * @mappings: now; incremented under dma_resv
 * @faults: see struct peermr_export_query
 * @waiters: revokes that wait for this buffer
 * @node: in peermr_exporter.buffers, under peermr_exporter.lock
 * @walk: for the holder of peermr_exporter.transition
 * @nr_ranges: after merging
 * @ranges: do not change
 */
struct peermr_buffer {
	struct peermr_exporter *exporter;
	struct dma_buf *dmabuf;
	struct p2pdma_provider *provider;
	u32 flags;
	u32 bar;
	bool read_only;
	size_t size;

	struct rw_semaphore fault_lock;
	u32 state;
	u64 revokes;
	u64 restores;
	u64 invalidates;
	u64 mapped;
	atomic_t mappings;
	atomic64_t faults;
	atomic_t waiters;

	struct list_head node;
	struct list_head walk;

	u32 nr_ranges;
	struct peermr_range ranges[];
};

/* exporter.c */
struct peermr_exporter *peermr_exporter_get(struct peermr_exporter *exporter);
void peermr_exporter_unref(struct peermr_exporter *exporter);

/* buffer.c */
/* The buffer behind @dmabuf, or NULL if it is another exporter's. */
struct peermr_buffer *peermr_buffer_of(struct dma_buf *dmabuf);
enum peermr_export_state peermr_buffer_state(const struct peermr_buffer *buffer);
/* Makes a buffer of ranges that are copied. Returns a descriptor. */
int peermr_buffer_export(struct peermr_exporter *exporter, u32 bar, u32 flags,
			 u32 open_flags,
			 const struct peermr_export_range *ranges,
			 u32 nr_ranges);

/* revoke.c */
/* Sets bits of the state; importers are told, and mmaps zapped. */
void peermr_buffer_block(struct peermr_buffer *buffer, u32 bits);
/* Clears bits of the state; importers are told if it is live then. */
void peermr_buffer_unblock_locked(struct peermr_buffer *buffer, u32 bits);
/* Waits until a blocked buffer has no mapping. 0 or -ERESTARTSYS. */
int peermr_buffer_wait(struct peermr_buffer *buffer, bool interruptible);
bool peermr_buffer_idle(const struct peermr_buffer *buffer);

/* mapping.c */
struct sg_table *peermr_buffer_map_sgt(struct peermr_buffer *buffer,
				       struct dma_buf_attachment *attach,
				       enum dma_data_direction dir);
void peermr_buffer_unmap_sgt(struct peermr_buffer *buffer,
			     struct dma_buf_attachment *attach,
			     struct sg_table *sgt, enum dma_data_direction dir);

/* mmap.c */
int peermr_buffer_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);
void peermr_buffer_zap(struct peermr_buffer *buffer);

/* debugfs.c */
void peermr_debugfs_init(void);
void peermr_debugfs_exit(void);
void peermr_debugfs_add(struct peermr_exporter *exporter);
void peermr_debugfs_remove(struct peermr_exporter *exporter);

#endif
