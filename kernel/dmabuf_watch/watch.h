/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMABUF_WATCH_H
#define DMABUF_WATCH_H

#include <linux/fs.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include <peermr/dmabuf_watch.h>

struct dma_buf;
struct dma_buf_attachment;
struct pci_dev;
struct watch_user;

/**
 * struct watch - an attachment that maps nothing, and what its exporter has called
 * @dmabuf: the buffer; holds a reference
 * @attach: the attachment to it
 * @pdev: in whose name; holds a reference. The device may be without a driver, or gone
 * @user: who is charged for the watch
 * @wait: readers and pollers
 * @lock: protects what follows; a leaf, taken by the exporter's callback
 * @total: callbacks ever
 * @pending: those that no read has returned
 * @first_ns: when the first of @pending came
 * @last_ns: when the last of them came
 */
struct watch {
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct pci_dev *pdev;
	struct watch_user *user;
	wait_queue_head_t wait;

	spinlock_t lock; /* protects what follows */
	u64 total;
	u64 pending;
	u64 first_ns;
	u64 last_ns;
};

/*
 * Copies a structure that begins with its size, of which the caller may know less or more than we
 * do. Changes of size also change an ioctl's number: WATCH_IOC() is the part that stays.
 */
#define WATCH_IOC(cmd)	((cmd) & ~IOCSIZE_MASK)

static inline int watch_copy_in(void *to, size_t bytes, const void __user *from, u32 *size)
{
	if (get_user(*size, (const u32 __user *)from))
		return -EFAULT;
	if (*size < bytes)
		return -EINVAL;
	if (*size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(to, bytes, from, *size);
}

/* watch_file.c */
extern const struct file_operations watch_fops;
void watch_destroy(struct watch *watch);
u64 watch_total(struct watch *watch);

/* watch_state.c */
int watch_status(struct watch *watch, void __user *arg);
int watch_probe(struct watch *watch, void __user *arg);
void watch_show_state(struct watch *watch, struct seq_file *m);

/* watch_user.c: how many watches each user has */
struct watch_user *watch_user_charge(void);
void watch_user_uncharge(struct watch_user *user);

#endif
