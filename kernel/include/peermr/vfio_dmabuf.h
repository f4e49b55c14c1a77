/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * dma-buf export of VFIO device memory: feature 11 of VFIO_DEVICE_FEATURE, in
 * Linux since 6.19. Distributions' <linux/vfio.h> may be older, so this header
 * defines the feature under names of its own; number and layout are the
 * kernel's. VFIO_DEVICE_FEATURE itself and struct vfio_device_feature, whose
 * data[] this fills, come from <linux/vfio.h>.
 *
 * Errors, as of Linux 7.2 (drivers/vfio/pci/vfio_pci_dmabuf.c):
 *
 *   ENOTTY      the kernel or the driver does not know the feature
 *   EOPNOTSUPP  the driver has no dma-buf export
 *   ENODEV      the region is not a BAR, the BAR is absent or could not be
 *               claimed, or the device is going away
 *   EINVAL      no ranges, flags not 0, a range empty, unaligned or past the
 *               BAR, a BAR of I/O ports, or a sum that is too large
 *   EOVERFLOW   a range wraps around
 */
#ifndef PEERMR_VFIO_DMABUF_H
#define PEERMR_VFIO_DMABUF_H

#include <linux/types.h>

#define PEERMR_VFIO_FEATURE_DMA_BUF 11

/**
 * struct peermr_vfio_dma_range - a part of a BAR
 * @offset: first byte within the BAR; a multiple of the page size
 * @length: number of bytes; a multiple of the page size, not 0
 */
struct peermr_vfio_dma_range {
	__u64 offset;
	__u64 length;
};

/**
 * struct peermr_vfio_dma_buf - what to export
 * @region_index: the BAR, 0 to 5
 * @open_flags: flags of the new file descriptor, as for open(2): O_CLOEXEC and
 *              O_RDONLY or O_RDWR
 * @flags: must be 0
 * @nr_ranges: number of elements of @ranges, not 0
 * @ranges: the buffer consists of these, one after the other; they may overlap
 *
 * The ioctl returns the new file descriptor.
 */
struct peermr_vfio_dma_buf {
	__u32 region_index;
	__u32 open_flags;
	__u32 flags;
	__u32 nr_ranges;
	struct peermr_vfio_dma_range ranges[];
};

#endif
