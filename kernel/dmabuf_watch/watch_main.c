// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/dmabuf_watch: tells userspace of every invalidate of a dma-buf (peermr/dmabuf_watch.h).
 *
 * Anybody may open it. Whoever makes a watch holds the buffer's descriptor already; what a watch
 * adds is an attachment that maps nothing. It reaches no memory, keeps alive what the descriptor
 * keeps alive anyway, and its number is bounded. An exporter may consider attachments when it
 * places or pins a buffer; every importer that takes dma-buf descriptors from users, such as a
 * GPU's render node, gives them the same say. Mapping, which moves memory and programs an IOMMU for
 * a device that need not be the caller's, is for CAP_SYS_RAWIO.
 */

#include <linux/anon_inodes.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "compat.h"
#include "watch.h"

/*
 * From the exporter, with dma_resv held; it may hold more, such as VFIO's memory_lock. It may come
 * before dma_buf_dynamic_attach() has returned: all of the watch but watch->attach is valid.
 */
static void watch_invalidate(struct dma_buf_attachment *attach)
{
	struct watch *watch = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	spin_lock(&watch->lock);
	watch->last_ns = ktime_get_ns();
	if (!watch->pending++)
		watch->first_ns = watch->last_ns;
	watch->total++;
	spin_unlock(&watch->lock);
	wake_up_interruptible_poll(&watch->wait, EPOLLIN | EPOLLRDNORM);
}

static const struct dma_buf_attach_ops watch_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = watch_invalidate,
};

static struct watch *watch_make(const struct dmabuf_watch_create *args)
{
	struct watch *watch;
	int err;

	watch = kzalloc_obj(*watch, GFP_KERNEL_ACCOUNT);
	if (!watch)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&watch->lock);
	init_waitqueue_head(&watch->wait);

	watch->dmabuf = dma_buf_get(args->dmabuf_fd);
	if (IS_ERR(watch->dmabuf)) {
		err = PTR_ERR(watch->dmabuf);
		goto err_free;
	}
	watch->pdev = pci_get_domain_bus_and_slot(args->pci_domain, args->pci_bus,
						  args->pci_devfn);
	if (!watch->pdev) {
		err = -ENODEV;
		goto err_buffer;
	}
	watch->user = watch_user_charge();
	if (IS_ERR(watch->user)) {
		err = PTR_ERR(watch->user);
		goto err_device;
	}
	watch->attach = dma_buf_dynamic_attach(watch->dmabuf, &watch->pdev->dev,
					       &watch_attach_ops, watch);
	if (IS_ERR(watch->attach)) {
		err = PTR_ERR(watch->attach);
		goto err_user;
	}
	return watch;

err_user:
	watch_user_uncharge(watch->user);
err_device:
	pci_dev_put(watch->pdev);
err_buffer:
	dma_buf_put(watch->dmabuf);
err_free:
	kfree(watch);
	return ERR_PTR(err);
}

/* The reverse of watch_make(). The exporter calls no more once it is detached. */
void watch_destroy(struct watch *watch)
{
	dma_buf_detach(watch->dmabuf, watch->attach);
	watch_user_uncharge(watch->user);
	pci_dev_put(watch->pdev);
	dma_buf_put(watch->dmabuf);
	kfree(watch);
}

static int watch_create(void __user *arg)
{
	struct dmabuf_watch_create args;
	struct watch *watch;
	struct file *file;
	u32 size;
	int err;
	int fd;

	err = watch_copy_in(&args, sizeof(args), arg, &size);
	if (err)
		return err;
	if (args.flags & ~(DMABUF_WATCH_CLOEXEC | DMABUF_WATCH_NONBLOCK) || args.reserved)
		return -EINVAL;
	watch = watch_make(&args);
	if (IS_ERR(watch))
		return PTR_ERR(watch);
	fd = get_unused_fd_flags(args.flags & DMABUF_WATCH_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0) {
		err = fd;
		goto err_watch;
	}
	file = anon_inode_getfile("[dmabuf_watch]", &watch_fops, watch,
				  O_RDONLY | (args.flags & DMABUF_WATCH_NONBLOCK ? O_NONBLOCK : 0));
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_fd;
	}
	fd_install(fd, file);
	return fd;

err_fd:
	put_unused_fd(fd);
err_watch:
	watch_destroy(watch);
	return err;
}

static long watch_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (WATCH_IOC(cmd) == WATCH_IOC(DMABUF_WATCH_CREATE))
		return watch_create((void __user *)arg);
	return -ENOTTY;
}

static const struct file_operations watch_device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = watch_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice watch_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_watch",
	.fops = &watch_device_fops,
	.mode = 0666,
};

module_misc_device(watch_device);

MODULE_DESCRIPTION("Invalidates of dma-bufs, delivered to userspace");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
