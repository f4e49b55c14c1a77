// SPDX-License-Identifier: GPL-2.0-only
/*
 * A watch's file: read, poll, ioctls, fdinfo.
 */

#include <linux/dma-buf.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/seq_file.h>

#include "watch.h"

static int watch_release(struct inode *inode, struct file *file)
{
	watch_destroy(file->private_data);
	return 0;
}

u64 watch_total(struct watch *watch)
{
	guard(spinlock)(&watch->lock);
	return watch->total;
}

static u64 watch_pending(struct watch *watch)
{
	guard(spinlock)(&watch->lock);
	return watch->pending;
}

/* What is pending becomes the caller's. False if nothing is. */
static bool watch_take(struct watch *watch, struct dmabuf_watch_event *event)
{
	guard(spinlock)(&watch->lock);
	if (!watch->pending)
		return false;
	event->invalidates = watch->pending;
	event->total = watch->total;
	event->first_ns = watch->first_ns;
	event->last_ns = watch->last_ns;
	watch->pending = 0;
	return true;
}

/* The caller could not have it after all: the next reader will. */
static void watch_give_back(struct watch *watch, const struct dmabuf_watch_event *event)
{
	spin_lock(&watch->lock);
	if (!watch->pending)
		watch->last_ns = event->last_ns;
	watch->first_ns = event->first_ns;
	watch->pending += event->invalidates;
	spin_unlock(&watch->lock);
	wake_up_interruptible_poll(&watch->wait, EPOLLIN | EPOLLRDNORM);
}

static ssize_t watch_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct watch *watch = file->private_data;
	struct dmabuf_watch_event event;
	int err;

	if (count < sizeof(event))
		return -EINVAL;
	while (!watch_take(watch, &event)) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		err = wait_event_interruptible(watch->wait, watch_pending(watch));
		if (err)
			return err;
	}
	if (copy_to_user(buf, &event, sizeof(event))) {
		watch_give_back(watch, &event);
		return -EFAULT;
	}
	return sizeof(event);
}

static __poll_t watch_poll(struct file *file, poll_table *table)
{
	struct watch *watch = file->private_data;

	poll_wait(file, &watch->wait, table);
	return watch_pending(watch) ? EPOLLIN | EPOLLRDNORM : 0;
}

static long watch_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct watch *watch = file->private_data;

	switch (WATCH_IOC(cmd)) {
	case WATCH_IOC(DMABUF_WATCH_STATUS):
		return watch_status(watch, (void __user *)arg);
	case WATCH_IOC(DMABUF_WATCH_PROBE):
		return watch_probe(watch, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static void watch_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct watch *watch = file->private_data;
	struct dma_buf *dmabuf = watch->dmabuf;

	seq_printf(m, "dmabuf-ino:\t%lu\n", (unsigned long)file_inode(dmabuf->file)->i_ino);
	seq_printf(m, "dmabuf-size:\t%zu\n", dmabuf->size);
	seq_printf(m, "exporter:\t%s\n", dmabuf->exp_name);
	seq_printf(m, "pci:\t%s\n", pci_name(watch->pdev));
	seq_printf(m, "invalidates:\t%llu\n", watch_total(watch));
	seq_printf(m, "pending:\t%llu\n", watch_pending(watch));
	watch_show_state(watch, m);
}

const struct file_operations watch_fops = {
	.owner = THIS_MODULE,
	.release = watch_release,
	.read = watch_read,
	.poll = watch_poll,
	.unlocked_ioctl = watch_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = watch_show_fdinfo,
};
