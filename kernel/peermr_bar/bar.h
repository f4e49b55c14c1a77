/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * peermr_bar: the memory of a PCI device behind a character device, for machines
 * where VFIO cannot bind it. Exports dma-bufs through the exporter core.
 */
#ifndef PEERMR_BAR_INTERNAL_H
#define PEERMR_BAR_INTERNAL_H

#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>

struct peermr_exporter;
struct vm_area_struct;

/* mmap offsets: the BAR's number above, the offset within it below. */
#define BAR_OFFSET_SHIFT 40

/**
 * struct bar_device - a device bound to the driver
 * @ref: the driver's, and an open file's: it outlives remove()
 * @pdev: valid until @gone
 * @exporter: of @pdev; the core's own reference count
 * @misc: the node in /dev
 * @name: its name
 * @nodename: its path in /dev
 * @bars: bit n: BAR n is memory and claimed
 * @owner: excludes open, ioctls, release and remove against each other; held
 *	   while a revoke that a user asked for waits, which a signal ends
 * @open: somebody has the file
 * @gone: remove() has begun
 * @reset_works: the device reset when the driver was bound
 * @map_lock: protects @hidden and @mapping, and a page being inserted from
 *	      @hidden being set. Taken under mmap_lock; i_mmap is taken under it
 * @hidden: PEERMR_WHY_*: why mmaps of the file get SIGBUS now
 * @mapping: of the open file
 */
struct bar_device {
	struct kref ref;
	struct pci_dev *pdev;
	struct peermr_exporter *exporter;
	struct miscdevice misc;
	char *name;
	char *nodename;
	u32 bars;
	struct mutex owner;
	bool open;
	bool gone;
	bool reset_works;
	struct rw_semaphore map_lock;
	u32 hidden;
	struct address_space *mapping;
};

void bar_device_put(struct bar_device *bar);

/*
 * bar_hide() takes the device's memory from everybody, mmaps of the file first,
 * and bar_show() gives it back; both for one reason of PEERMR_WHY_*. Only an
 * interruptible bar_hide() can fail; then everything is as before.
 */
int bar_hide(struct bar_device *bar, u32 why, bool interruptible);
void bar_show(struct bar_device *bar, u32 why);

extern const struct file_operations bar_file_ops;

/* bar_mmap.c */
int bar_mmap(struct bar_device *bar, struct vm_area_struct *vma);
void bar_set_hidden(struct bar_device *bar, u32 why);
void bar_clear_hidden(struct bar_device *bar, u32 why);

#endif
