/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef IMPORTER_H
#define IMPORTER_H

#include <linux/dma-direction.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "test_importer.h"

struct dma_buf;
struct dma_buf_attachment;
struct dma_fence;
struct dma_resv;
struct pci_dev;
struct sg_table;

/* An open file. */
struct importer_session {
	struct xarray attachments; /* holds a reference to each */
};

/**
 * struct importer - an attachment
 * @ref: the session's, and one of each call in progress
 * @how: what the test wants, checked
 * @dmabuf: holds a reference
 * @pdev: holds a reference
 * @attach: to @dmabuf, for @pdev
 * @unmap_work: for TEST_IMPORTER_UNMAP_LATE
 * @unmap_at: not before
 * @fence_work: for TEST_IMPORTER_FENCE_LATE
 * @fence_at: not before
 * @fence_context: of its fences
 * @sgt: the mapping or NULL. Changes under dma_resv and @lock
 * @pinned: protected by dma_resv
 * @lock: protects what follows; a leaf, so that QUERY and SIGNAL never wait for dma_resv, which an
 *        exporter may hold while it awaits our fence
 * @fence: has not signalled, or NULL
 * @closing: no more fences
 * @counts: for QUERY
 */
struct importer {
	struct kref ref;
	struct test_importer_attach how;
	struct dma_buf *dmabuf;
	struct pci_dev *pdev;
	struct dma_buf_attachment *attach;
	struct delayed_work unmap_work;
	ktime_t unmap_at;
	struct delayed_work fence_work;
	ktime_t fence_at;
	u64 fence_context;
	struct sg_table *sgt;
	bool pinned;

	spinlock_t lock; /* protects what follows, and @sgt with dma_resv */
	struct dma_fence *fence;
	bool closing;
	struct test_importer_query counts;
};

extern struct workqueue_struct *importer_wq;

/* importer_main.c */
void importer_delay(struct delayed_work *work, ktime_t *until, u32 ms);
bool importer_too_early(struct delayed_work *work, ktime_t until);

/* importer_map.c */
struct importer *importer_create(const struct test_importer_attach *how);
void importer_put(struct importer *imp);
struct dma_resv *importer_resv(struct importer *imp);
int importer_map(struct importer *imp);
int importer_unmap(struct importer *imp);
int importer_segments(struct importer *imp, struct test_importer_segments *args);

/* importer_fence.c */
void importer_fence_init(struct importer *imp);
void importer_fence_add(struct importer *imp);
void importer_fence_signal(struct importer *imp);
void importer_close(struct importer *imp);

#endif
