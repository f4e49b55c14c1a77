/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions, and nothing else: every version check of the driver is
 * here. Written for and tested with Linux 7.2; older ones lack ib_copy_validate_udata_in() and
 * ib_umem_get_va(), and before 7.1 the exporter's callback had another name.
 */
#ifndef PNIC_COMPAT_H
#define PNIC_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
#error "pnic needs Linux 7.2 or newer"
#endif

#ifndef CONFIG_64BIT
#error "pnic needs 64-bit stores to its doorbells"
#endif

#endif
