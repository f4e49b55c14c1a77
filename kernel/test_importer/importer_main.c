// SPDX-License-Identifier: GPL-2.0-only
/*
 * FOR TESTS ONLY: /dev/peermr_test_importer, described in test_importer.h.
 */

#include <linux/dma-buf.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "importer.h"

struct workqueue_struct *importer_wq;

/* Runs @work after @ms, unless it is due already. */
void importer_delay(struct delayed_work *work, ktime_t *until, u32 ms)
{
	if (delayed_work_pending(work))
		return;
	*until = ktime_add_ms(ktime_get(), ms);
	queue_delayed_work(importer_wq, work, msecs_to_jiffies(ms));
}

/* Jiffies that catch up with the clock end a delay early, and tests measure it: waits on. */
bool importer_too_early(struct delayed_work *work, ktime_t until)
{
	if (!ktime_before(ktime_get(), until))
		return false;
	queue_delayed_work(importer_wq, work, 1);
	return true;
}

/* All structures begin with their size. */
static int importer_copy_in(void *to, size_t bytes, const void __user *from)
{
	if (copy_from_user(to, from, bytes))
		return -EFAULT;
	return *(u32 *)to == bytes ? 0 : -EINVAL;
}

static struct importer *importer_find(struct importer_session *session, u32 id)
{
	struct importer *imp;

	xa_lock(&session->attachments);
	imp = xa_load(&session->attachments, id);
	if (imp)
		kref_get(&imp->ref);
	xa_unlock(&session->attachments);
	return imp ?: ERR_PTR(-ENOENT);
}

static int importer_check(const struct test_importer_attach *args)
{
	if (args->flags & ~(TEST_IMPORTER_PINNED | TEST_IMPORTER_NO_PEER2PEER |
			    TEST_IMPORTER_NO_CALLBACK) ||
	    args->reserved || args->id ||
	    args->unmap > TEST_IMPORTER_UNMAP_NEVER || args->unmap_ms > TEST_IMPORTER_MAX_MS ||
	    args->fence > TEST_IMPORTER_FENCE_NEVER || args->fence_ms > TEST_IMPORTER_MAX_MS ||
	    args->direction > TEST_IMPORTER_FROM_DEVICE)
		return -EINVAL;
	return 0;
}

static int importer_ioc_attach(struct importer_session *session, void __user *arg)
{
	struct test_importer_attach args;
	struct importer *imp;
	int err;

	err = importer_copy_in(&args, sizeof(args), arg);
	if (err)
		return err;
	err = importer_check(&args);
	if (err)
		return err;
	imp = importer_create(&args);
	if (IS_ERR(imp))
		return PTR_ERR(imp);

	/* Reserved first: once published, another thread may detach it. */
	err = xa_alloc(&session->attachments, &args.id, NULL, xa_limit_31b, GFP_KERNEL);
	if (err)
		goto err_put;
	if (copy_to_user(arg, &args, sizeof(args))) {
		err = -EFAULT;
		goto err_id;
	}
	xa_store(&session->attachments, args.id, imp, GFP_KERNEL);
	return 0;

err_id:
	xa_erase(&session->attachments, args.id);
err_put:
	importer_put(imp);
	return err;
}

static int importer_ioc_id(struct importer_session *session, unsigned int cmd, void __user *arg)
{
	struct test_importer_id args;
	struct importer *imp;
	int err;

	err = importer_copy_in(&args, sizeof(args), arg);
	if (err)
		return err;
	imp = importer_find(session, args.id);
	if (IS_ERR(imp))
		return PTR_ERR(imp);
	switch (cmd) {
	case TEST_IMPORTER_MAP:
		err = importer_map(imp);
		break;
	case TEST_IMPORTER_UNMAP:
		err = importer_unmap(imp);
		break;
	case TEST_IMPORTER_SIGNAL:
		importer_fence_signal(imp);
		break;
	case TEST_IMPORTER_DETACH:
		/* Only one of several calls has the session's reference to put. */
		if (xa_cmpxchg(&session->attachments, args.id, imp, NULL, GFP_KERNEL) == imp)
			importer_put(imp);
		else
			err = -ENOENT;
		break;
	}
	importer_put(imp);
	return err;
}

static int importer_ioc_query(struct importer_session *session, void __user *arg)
{
	struct test_importer_query args;
	struct importer *imp;
	u32 id;
	int err;

	err = importer_copy_in(&args, sizeof(args), arg);
	if (err)
		return err;
	id = args.id;
	imp = importer_find(session, id);
	if (IS_ERR(imp))
		return PTR_ERR(imp);
	spin_lock(&imp->lock);
	args = imp->counts;
	args.fence_pending = imp->fence ? 1 : 0;
	spin_unlock(&imp->lock);
	importer_put(imp);
	args.size = sizeof(args);
	args.id = id;
	return copy_to_user(arg, &args, sizeof(args)) ? -EFAULT : 0;
}

static int importer_ioc_segments(struct importer_session *session, void __user *arg)
{
	struct test_importer_segments args;
	struct importer *imp;
	int err;

	err = importer_copy_in(&args, sizeof(args), arg);
	if (err)
		return err;
	if (args.count || args.room > TEST_IMPORTER_MAX_SEGMENTS)
		return -EINVAL;
	imp = importer_find(session, args.id);
	if (IS_ERR(imp))
		return PTR_ERR(imp);
	err = importer_segments(imp, &args);
	importer_put(imp);
	if (err)
		return err;
	return copy_to_user(arg, &args, sizeof(args)) ? -EFAULT : 0;
}

static long importer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct importer_session *session = file->private_data;
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case TEST_IMPORTER_ATTACH:
		return importer_ioc_attach(session, user);
	case TEST_IMPORTER_MAP:
	case TEST_IMPORTER_UNMAP:
	case TEST_IMPORTER_SIGNAL:
	case TEST_IMPORTER_DETACH:
		return importer_ioc_id(session, cmd, user);
	case TEST_IMPORTER_QUERY:
		return importer_ioc_query(session, user);
	case TEST_IMPORTER_SEGMENTS:
		return importer_ioc_segments(session, user);
	default:
		return -ENOTTY;
	}
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer_session *session;

	session = kzalloc_obj(*session);
	if (!session)
		return -ENOMEM;
	xa_init_flags(&session->attachments, XA_FLAGS_ALLOC1);
	file->private_data = session;
	return 0;
}

static int importer_session_release(struct inode *inode, struct file *file)
{
	struct importer_session *session = file->private_data;
	struct importer *imp;
	unsigned long id;

	/* All fences first: an exporter may hold one buffer's lock to wait for another's. */
	xa_for_each(&session->attachments, id, imp)
		importer_close(imp);
	xa_for_each(&session->attachments, id, imp)
		importer_put(imp);
	xa_destroy(&session->attachments);
	kfree(session);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_session_release,
	.unlocked_ioctl = importer_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice importer_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "peermr_test_importer",
	.fops = &importer_fops,
	.mode = 0600,
};

static int __init importer_init(void)
{
	int err;

	importer_wq = alloc_workqueue("peermr_test_importer", WQ_UNBOUND, 0);
	if (!importer_wq)
		return -ENOMEM;
	err = misc_register(&importer_device);
	if (err)
		destroy_workqueue(importer_wq);
	return err;
}

static void __exit importer_exit(void)
{
	misc_deregister(&importer_device);
	destroy_workqueue(importer_wq);
	/* Somebody may be reading a fence's name. */
	synchronize_rcu();
}

module_init(importer_init);
module_exit(importer_exit);

MODULE_DESCRIPTION("Importer of dma-bufs with bad manners, for tests only");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
