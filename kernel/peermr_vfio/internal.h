/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share: a device.
 */
#ifndef PEERMR_VFIO_INTERNAL_H
#define PEERMR_VFIO_INTERNAL_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
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
 * @settle: makes one step of looking at the device's state and telling the
 *          exporter, and protects the next four; below memory_lock
 * @is_open: the core's virtual configuration space exists
 * @link_was_reset: perhaps: a fatal error was reported, and decode has not been
 *                  seen on since
 * @memory_gone: what the exporter was told last
 * @wc_bars: BARs to be write-combining when the device is opened
 * @af_flr: where the advanced features capability has its reset bit, or 0
 * @access: held while the core accesses BARs for the user; above mmap_lock
 * @fault: held while a fault inserts pages of a BAR; below mmap_lock, above
 *         memory_lock
 * @is_private: written under @access and @fault
 * @mmapped: a BAR was, since the device was opened
 * @delegated: a buffer was, since the device was opened
 * @core_vm_ops: of all the core's mappings of BARs
 * @node: in the list of bound devices
 */
struct peermr_vfio {
	struct vfio_pci_core_device core;
	struct peermr_exporter *exporter;
	struct mutex change; /* of memory, by the user */
	struct mutex settle; /* look, and tell the exporter */
	bool is_open;
	bool link_was_reset;
	bool memory_gone;
	u32 wc_bars;
	u8 af_flr;
	struct rw_semaphore access;
	struct rw_semaphore fault;
	bool is_private;
	bool mmapped;
	bool delegated;
	const struct vm_operations_struct *core_vm_ops;
	struct list_head node;
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
/* To be called while the device is awake. */
void peermr_vfio_find_af_flr(struct peermr_vfio *pv);
ssize_t peermr_vfio_config_write(struct peermr_vfio *pv, const char __user *buf,
				 size_t count, loff_t *ppos);

/* delegate.c */
int peermr_vfio_export(struct peermr_vfio *pv, void __user *arg, size_t argsz);

/* private.c */
ssize_t peermr_vfio_read(struct vfio_device *vdev, char __user *buf,
			 size_t count, loff_t *ppos);
ssize_t peermr_vfio_write(struct vfio_device *vdev, const char __user *buf,
			  size_t count, loff_t *ppos);
int peermr_vfio_mmap(struct vfio_device *vdev, struct vm_area_struct *vma);
long peermr_vfio_ioeventfd(struct peermr_vfio *pv, unsigned long arg);
int peermr_vfio_feature_private(struct peermr_vfio *pv, u32 flags,
				void __user *arg, size_t argsz);
void peermr_vfio_end_private(struct peermr_vfio *pv);

/* wc.c */
extern const struct attribute_group *peermr_vfio_groups[];
/* Maps BARs write-combining; before finish_enable. Returns which. */
u32 peermr_vfio_combine(struct peermr_vfio *pv);

/* pm.c */
void peermr_vfio_catch_up(struct peermr_vfio *pv);
int peermr_vfio_register(struct peermr_vfio *pv);
void peermr_vfio_unregister(struct peermr_vfio *pv);

/* errors.c */
extern const struct pci_error_handlers peermr_vfio_err_handlers;

#endif
