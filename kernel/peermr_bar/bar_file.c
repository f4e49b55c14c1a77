// SPDX-License-Identifier: GPL-2.0-only
/*
 * The character device: one user at a time, who exports, revokes, re-arms, maps and
 * resets.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include <peermr/peermr_bar.h>

#include "bar.h"
#include "peermr_exporter.h"

static int bar_open(struct inode *inode, struct file *file)
{
	/* The misc core, under whose lock this runs, has put it there. */
	struct bar_device *bar = container_of(file->private_data, struct bar_device, misc);
	int ret = 0;

	/*
	 * Whoever holds it has the file, or had it, or removes the device; and may
	 * wait for importers. All misc devices would wait with us.
	 */
	if (!mutex_trylock(&bar->owner))
		return -EBUSY;
	if (bar->gone)
		ret = -ENODEV;
	else if (bar->open)
		ret = -EBUSY;
	if (ret)
		goto out;

	down_write(&bar->map_lock);
	ret = peermr_exporter_open(bar->exporter, bar->bars, 0, bar->hidden);
	if (!ret) {
		bar->mapping = file->f_mapping;
		bar->open = true;
		kref_get(&bar->ref);
		file->private_data = bar;
	}
	up_write(&bar->map_lock);
out:
	mutex_unlock(&bar->owner);
	return ret;
}

static int bar_release(struct inode *inode, struct file *file)
{
	struct bar_device *bar = file->private_data;

	mutex_lock(&bar->owner);
	if (!bar->gone)
		peermr_exporter_close(bar->exporter);
	down_write(&bar->map_lock);
	bar->mapping = NULL;
	up_write(&bar->map_lock);
	bar->open = false;
	mutex_unlock(&bar->owner);
	bar_device_put(bar);
	return 0;
}

static int bar_reset(struct bar_device *bar)
{
	int ret;

	if (!bar->reset_works)
		return -ENOTTY;
	ret = bar_hide(bar, PEERMR_WHY_CHANGE, true);
	if (ret)
		return ret;
	/* Not the waiting kind: remove() holds the device's lock and waits for ours. */
	ret = pci_try_reset_function(bar->pdev);
	bar_show(bar, PEERMR_WHY_CHANGE);
	return ret;
}

static int bar_region(struct bar_device *bar, void __user *arg)
{
	struct peermr_bar_region region;

	if (copy_from_user(&region, arg, sizeof(region)))
		return -EFAULT;
	if (region.size != sizeof(region) || region.bar >= PCI_STD_NUM_BARS)
		return -EINVAL;

	region.bytes = bar->bars & BIT(region.bar) ? pci_resource_len(bar->pdev, region.bar) : 0;
	region.mmap_offset = (u64)region.bar << BAR_OFFSET_SHIFT;
	return copy_to_user(arg, &region, sizeof(region)) ? -EFAULT : 0;
}

static int bar_dispatch(struct bar_device *bar, unsigned int cmd, void __user *arg)
{
	size_t argsz = _IOC_SIZE(cmd);

	switch (cmd) {
	case PEERMR_BAR_EXPORT:
		return peermr_exporter_ioc_create(bar->exporter, arg, argsz);
	case PEERMR_BAR_REVOKE:
		return peermr_exporter_ioc_revoke(bar->exporter, arg, argsz);
	case PEERMR_BAR_REARM:
		return peermr_exporter_ioc_rearm(bar->exporter, arg, argsz);
	case PEERMR_BAR_QUERY:
		return peermr_exporter_ioc_query(bar->exporter, arg, argsz);
	case PEERMR_BAR_INFO:
		return peermr_exporter_ioc_info(bar->exporter, arg, argsz);
	case PEERMR_BAR_RESET:
		return bar_reset(bar);
	case PEERMR_BAR_REGION:
		return bar_region(bar, arg);
	default:
		return -ENOTTY;
	}
}

static long bar_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bar_device *bar = file->private_data;
	int ret;

	ret = mutex_lock_interruptible(&bar->owner);
	if (ret)
		return ret;
	ret = bar->gone ? -ENODEV : bar_dispatch(bar, cmd, (void __user *)arg);
	mutex_unlock(&bar->owner);
	return ret;
}

static int bar_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct bar_device *bar = file->private_data;
	int ret = -ENODEV;

	/* Not the owner's mutex: mmap_lock is held, and ioctls fault. */
	down_read(&bar->map_lock);
	if (!(bar->hidden & PEERMR_WHY_REMOVED))
		ret = bar_mmap(bar, vma);
	up_read(&bar->map_lock);
	return ret;
}

const struct file_operations bar_file_ops = {
	.owner = THIS_MODULE,
	.open = bar_open,
	.release = bar_release,
	.unlocked_ioctl = bar_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = bar_file_mmap,
};
