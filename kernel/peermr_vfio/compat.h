/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions, and nothing else: every version check of
 * the module is here. Written for and tested with Linux 7.2.
 *
 * Older cores don't fit: they claim a BAR when it is first used and not when the
 * device is opened, and their flags are bits of one word, changed under
 * memory_lock, which cannot be looked at without it, as a reset must.
 */
#ifndef PEERMR_VFIO_COMPAT_H
#define PEERMR_VFIO_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
#error "peermr_vfio needs Linux 7.2 or newer"
#endif

#endif
