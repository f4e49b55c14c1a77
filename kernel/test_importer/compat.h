/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions, and nothing else: every version check of the module is here.
 * Before 7.2 a signalled fence still needed the module that made it.
 */
#ifndef TEST_IMPORTER_COMPAT_H
#define TEST_IMPORTER_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
#error "peermr_test_importer needs Linux 7.2 or newer"
#endif

#endif
