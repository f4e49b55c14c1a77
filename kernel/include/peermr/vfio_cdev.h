/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * VFIO devices by character device and iommufd: in Linux since 6.6, VF tokens
 * since 6.17. Distributions' <linux/vfio.h> may be older and <linux/iommufd.h>
 * missing, so this header defines what it takes under names of its own; numbers
 * and layouts are the kernel's.
 *
 * A device's node, /dev/vfio/devices/vfioN, gives no access until it is bound to
 * an iommufd; without an address space it can do no DMA.
 */
#ifndef PEERMR_VFIO_CDEV_H
#define PEERMR_VFIO_CDEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PEERMR_VFIO_BIND_FLAG_TOKEN (1u << 0)

/**
 * struct peermr_vfio_bind - bind a device's descriptor to an iommufd
 * @argsz: sizeof(struct peermr_vfio_bind); up to @token without one
 * @flags: PEERMR_VFIO_BIND_FLAG_TOKEN if @token is given
 * @iommufd: descriptor of /dev/iommu
 * @out_devid: the device within the iommufd
 * @token: address of the 16 bytes of a UUID
 *
 * EINVAL (bound already, opened by another character device descriptor, or a token
 * that is not needed), EBUSY (its group is open), EACCES (token missing or wrong).
 */
struct peermr_vfio_bind {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
	__aligned_u64 token;
};
#define PEERMR_VFIO_BIND_IOMMUFD _IO(';', 100 + 18)

/**
 * struct peermr_vfio_attach - give a bound device an address space
 * @argsz: sizeof(struct peermr_vfio_attach)
 * @flags: 0
 * @pt_id: in: the address space; out: the page table
 */
struct peermr_vfio_attach {
	__u32 argsz;
	__u32 flags;
	__u32 pt_id;
};
#define PEERMR_VFIO_ATTACH_IOMMUFD_PT _IO(';', 100 + 19)

/**
 * struct peermr_ioas_alloc - make an address space
 * @size: sizeof(struct peermr_ioas_alloc)
 * @flags: 0
 * @out_ioas_id: its number within the iommufd
 */
struct peermr_ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_ioas_id;
};
#define PEERMR_IOMMU_IOAS_ALLOC _IO(';', 0x81)

#define PEERMR_IOAS_MAP_FIXED_IOVA (1u << 0)
#define PEERMR_IOAS_MAP_WRITEABLE (1u << 1)
#define PEERMR_IOAS_MAP_READABLE (1u << 2)

/**
 * struct peermr_ioas_map_file - map a part of a file into an address space
 * @size: sizeof(struct peermr_ioas_map_file)
 * @flags: PEERMR_IOAS_MAP_*
 * @ioas_id: the address space
 * @fd: a memfd, or a dma-buf of mainline's VFIO exporter with one range
 * @start: first byte of the part
 * @length: of the part
 * @iova: in: where to, with FIXED_IOVA; out: where it is
 */
struct peermr_ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__s32 fd;
	__aligned_u64 start;
	__aligned_u64 length;
	__aligned_u64 iova;
};
#define PEERMR_IOMMU_IOAS_MAP_FILE _IO(';', 0x8f)

#endif
