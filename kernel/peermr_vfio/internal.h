/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share: a device.
 */
#ifndef PEERMR_VFIO_INTERNAL_H
#define PEERMR_VFIO_INTERNAL_H

#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

#include "compat.h"
#include "peermr_exporter.h"

/**
 * struct peermr_vfio - a device
 * @core: mainline's part, which does all that is not about dma-bufs. First
 * @exporter: the dma-bufs' part
 * @change: held by a user's call that may take memory away, from its revoke to
 *          its restore; above VFIO's memory_lock
 * @settle: protects the rest, and makes one step of looking at the device's
 *          state and telling the exporter; below memory_lock
 * @is_open: the core's virtual configuration space exists
 * @memory_gone: what the exporter was told last
 */
struct peermr_vfio {
	struct vfio_pci_core_device core;
	struct peermr_exporter *exporter;
	struct mutex change;
	struct mutex settle;
	bool is_open;
	bool memory_gone;
};

static inline struct peermr_vfio *to_peermr_vfio(struct vfio_device *vdev)
{
	return container_of(vdev, struct peermr_vfio, core.vdev);
}

/* main.c */
/* The device behind @pdev, which must be bound. */
struct peermr_vfio *peermr_vfio_of(struct pci_dev *pdev);

/* ops.c */
extern const struct vfio_device_ops peermr_vfio_ops;
/*
 * Brackets of what may take memory away: 0, or -ERESTARTSYS if a signal came.
 * Nothing is mapped in between; afterwards it is as the device says.
 */
int peermr_vfio_begin_change(struct peermr_vfio *pv);
void peermr_vfio_end_change(struct peermr_vfio *pv);
/*
 * Tells the exporter whether the device's memory can be reached. @late: who
 * calls has not revoked before, so that memory that is gone is a surprise.
 */
void peermr_vfio_settle(struct peermr_vfio *pv, bool late);

/* feature.c */
int peermr_vfio_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
			size_t argsz);

/* config.c */
ssize_t peermr_vfio_config_write(struct peermr_vfio *pv, const char __user *buf,
				 size_t count, loff_t *ppos);

/* errors.c */
extern const struct pci_error_handlers peermr_vfio_err_handlers;

#endif
