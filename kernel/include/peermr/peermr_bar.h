/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * /dev/peermr_bar/<PCI address>: the exporter for machines where VFIO cannot
 * bind a device, for lack of an IOMMU. The device's bus mastering stays off, so
 * that whoever holds the file can read and write its memory and do no more. The
 * structures are those of peermr_export.h; all ioctls return 0 or a descriptor,
 * or fail with the errors described there. One open file at a time (EBUSY);
 * closing it kills its buffers.
 */
#ifndef PEERMR_BAR_H
#define PEERMR_BAR_H

#include <linux/ioctl.h>

#include "peermr_export.h"

#define PEERMR_BAR_IOC_TYPE 0xb8

#define PEERMR_BAR_EXPORT _IOW(PEERMR_BAR_IOC_TYPE, 0, struct peermr_export_create)
#define PEERMR_BAR_REVOKE _IOW(PEERMR_BAR_IOC_TYPE, 1, struct peermr_export_revoke)
#define PEERMR_BAR_REARM _IOW(PEERMR_BAR_IOC_TYPE, 2, struct peermr_export_rearm)
#define PEERMR_BAR_QUERY _IOWR(PEERMR_BAR_IOC_TYPE, 3, struct peermr_export_query)
#define PEERMR_BAR_INFO _IOWR(PEERMR_BAR_IOC_TYPE, 4, struct peermr_export_info)

/* Reset the function. Revokes, resets, restores. ENOTTY: it has no reset. */
#define PEERMR_BAR_RESET _IO(PEERMR_BAR_IOC_TYPE, 5)

/**
 * struct peermr_bar_region - a BAR
 * @size: sizeof(struct peermr_bar_region)
 * @bar: in: 0 to 5
 * @bytes: its size; 0: there is none, or it is of I/O ports
 * @mmap_offset: for mmap of this file
 */
struct peermr_bar_region {
	__u32 size;
	__u32 bar;
	__aligned_u64 bytes;
	__aligned_u64 mmap_offset;
};
#define PEERMR_BAR_REGION _IOWR(PEERMR_BAR_IOC_TYPE, 6, struct peermr_bar_region)

#endif
