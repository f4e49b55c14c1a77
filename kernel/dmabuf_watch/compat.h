/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions, and nothing else: every version check of the module is here.
 */
#ifndef DMABUF_WATCH_COMPAT_H
#define DMABUF_WATCH_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#error "dmabuf_watch needs Linux 6.19 or newer"
#endif

/* The importer's callback had another name. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define invalidate_mappings move_notify
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define kzalloc_obj(obj, gfp)	kzalloc(sizeof(obj), gfp)
#endif

#endif
