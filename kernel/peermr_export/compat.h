/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions, and nothing else: every version check of
 * the module is here. Written for and tested with Linux 7.2.
 *
 * Before 7.1 the callback to importers has another name, and nothing tells
 * whether a pinned importer lets go of its mapping when it is called: there only
 * importers that are called at all may attach, so that a pinned one that ignores
 * the call makes a revoke wait until it is gone.
 */
#ifndef PEERMR_EXPORT_COMPAT_H
#define PEERMR_EXPORT_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#error "peermr_export needs Linux 6.19 or newer: p2pdma providers, dma_buf_phys_vec_to_sgt()"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)

static inline void dma_buf_invalidate_mappings(struct dma_buf *dmabuf)
{
	dma_buf_move_notify(dmabuf);
}

static inline bool dma_buf_attach_revocable(struct dma_buf_attachment *attach)
{
	return attach->importer_ops && attach->importer_ops->move_notify;
}

#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define phys_vec dma_buf_phys_vec
#endif

/* Since 7.0 */
#ifndef kzalloc_obj
#define kzalloc_obj(object, gfp) kzalloc(sizeof(object), gfp)
#endif

#endif
