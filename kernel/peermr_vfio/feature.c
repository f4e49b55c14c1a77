// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE: mainline's feature 11 by our exporter, and our own.
 */

#include <linux/uaccess.h>

#include <peermr/peermr_vfio.h>

#include "internal.h"

static_assert(sizeof(struct peermr_export_range) ==
	      sizeof(struct vfio_region_dma_range));

/* As mainline's: layout, checks and errors. */
static int peermr_vfio_feature_dma_buf(struct peermr_vfio *pv, u32 flags,
				       struct vfio_device_feature_dma_buf __user *arg,
				       size_t argsz)
{
	struct vfio_device_feature_dma_buf request;
	struct peermr_export_create create = {};
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				 sizeof(request));
	if (ret != 1)
		return ret;
	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (!request.nr_ranges || request.flags)
		return -EINVAL;
	if (request.region_index >= VFIO_PCI_ROM_REGION_INDEX)
		return -ENODEV;
	create.bar = request.region_index;
	create.open_flags = request.open_flags;
	create.nr_ranges = request.nr_ranges;
	create.ranges = (uintptr_t)arg->dma_ranges;
	return peermr_exporter_create_buffer(pv->exporter, &create);
}

static int peermr_vfio_feature_export(struct peermr_vfio *pv, u32 flags,
				      void __user *arg, size_t argsz)
{
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				     sizeof(struct peermr_export_create));

	return ret == 1 ? peermr_vfio_export(pv, arg, argsz) : ret;
}

/* Those that carry a structure of peermr_export.h. */
static int peermr_vfio_feature_own(struct peermr_vfio *pv, u32 flags,
				   void __user *arg, size_t argsz,
				   int (*call)(struct peermr_exporter *exporter,
					       void __user *arg, size_t argsz),
				   u32 op)
{
	int ret = vfio_check_feature(flags, argsz, op, sizeof(u32));

	return ret == 1 ? call(pv->exporter, arg, argsz) : ret;
}

/* Mainline's that may take the memory away, or say that it is back. */
static int peermr_vfio_feature_power(struct peermr_vfio *pv, u32 flags,
				     void __user *arg, size_t argsz)
{
	int ret;

	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return vfio_pci_core_ioctl_feature(&pv->core.vdev, flags, arg,
						   argsz);
	ret = peermr_vfio_begin_change(pv);
	if (ret)
		return ret;
	ret = vfio_pci_core_ioctl_feature(&pv->core.vdev, flags, arg, argsz);
	peermr_vfio_end_change(pv);
	return ret;
}

int peermr_vfio_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
			size_t argsz)
{
	const u32 get = VFIO_DEVICE_FEATURE_GET, set = VFIO_DEVICE_FEATURE_SET;
	struct peermr_vfio *pv = to_peermr_vfio(vdev);

	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		return peermr_vfio_feature_dma_buf(pv, flags, arg, argsz);
	case PEERMR_VFIO_FEATURE_EXPORT:
		return peermr_vfio_feature_export(pv, flags, arg, argsz);
	case PEERMR_VFIO_FEATURE_REVOKE:
		return peermr_vfio_feature_own(pv, flags, arg, argsz,
					       peermr_exporter_ioc_revoke, set);
	case PEERMR_VFIO_FEATURE_REARM:
		return peermr_vfio_feature_own(pv, flags, arg, argsz,
					       peermr_exporter_ioc_rearm, set);
	case PEERMR_VFIO_FEATURE_QUERY:
		return peermr_vfio_feature_own(pv, flags, arg, argsz,
					       peermr_exporter_ioc_query, get);
	case PEERMR_VFIO_FEATURE_INFO:
		return peermr_vfio_feature_own(pv, flags, arg, argsz,
					       peermr_exporter_ioc_info, get);
	case PEERMR_VFIO_FEATURE_PRIVATE:
		return peermr_vfio_feature_private(pv, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return peermr_vfio_feature_power(pv, flags, arg, argsz);
	default:
		return vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz);
	}
}
