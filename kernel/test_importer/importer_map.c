// SPDX-License-Identifier: GPL-2.0-only
/*
 * FOR TESTS ONLY: attachments, mappings and what an invalidate does to them.
 */

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "importer.h"

struct dma_resv *importer_resv(struct importer *imp)
{
	return imp->dmabuf->resv;
}

static enum dma_data_direction importer_direction(const struct importer *imp)
{
	static const enum dma_data_direction directions[] = {
		[TEST_IMPORTER_BIDIRECTIONAL] = DMA_BIDIRECTIONAL,
		[TEST_IMPORTER_TO_DEVICE] = DMA_TO_DEVICE,
		[TEST_IMPORTER_FROM_DEVICE] = DMA_FROM_DEVICE,
	};

	return directions[imp->how.direction];
}

static void importer_unmap_locked(struct importer *imp)
{
	struct sg_table *sgt = imp->sgt;

	dma_resv_assert_held(importer_resv(imp));
	if (!sgt)
		return;
	/* Counted before: a revoke that waits for it returns at once, and the test looks. */
	spin_lock(&imp->lock);
	imp->sgt = NULL;
	imp->counts.segments = 0;
	imp->counts.unmapped++;
	imp->counts.unmapped_ns = ktime_get_ns();
	spin_unlock(&imp->lock);
	dma_buf_unmap_attachment(imp->attach, sgt, importer_direction(imp));
}

static void importer_unmap_work(struct work_struct *work)
{
	struct importer *imp = container_of(to_delayed_work(work), struct importer, unmap_work);

	if (importer_too_early(&imp->unmap_work, imp->unmap_at))
		return;
	dma_resv_lock(importer_resv(imp), NULL);
	importer_unmap_locked(imp);
	dma_resv_unlock(importer_resv(imp));
}

static void importer_invalidate(struct dma_buf_attachment *attach)
{
	struct importer *imp = attach->importer_priv;
	bool mapped = imp->sgt;

	dma_resv_assert_held(attach->dmabuf->resv);
	spin_lock(&imp->lock);
	imp->counts.last_ns = ktime_get_ns();
	if (!imp->counts.callbacks++)
		imp->counts.first_ns = imp->counts.last_ns;
	if (mapped)
		imp->counts.invalidated++;
	spin_unlock(&imp->lock);
	if (!mapped)
		return;

	importer_fence_add(imp);
	switch (imp->how.unmap) {
	case TEST_IMPORTER_UNMAP_AT_ONCE:
		importer_unmap_locked(imp);
		break;
	case TEST_IMPORTER_UNMAP_LATE:
		importer_delay(&imp->unmap_work, &imp->unmap_at, imp->how.unmap_ms);
		break;
	default:
		break;
	}
}

/* Indexed by what the importer cannot do: NO_PEER2PEER is bit 0, NO_CALLBACK bit 1. */
static const struct dma_buf_attach_ops importer_attach_ops[] = {
	{ .allow_peer2peer = true, .invalidate_mappings = importer_invalidate },
	{ .allow_peer2peer = false, .invalidate_mappings = importer_invalidate },
	{ .allow_peer2peer = true },
	{ .allow_peer2peer = false },
};

struct importer *importer_create(const struct test_importer_attach *how)
{
	unsigned int lacks = (how->flags & TEST_IMPORTER_NO_PEER2PEER ? 1 : 0) |
			     (how->flags & TEST_IMPORTER_NO_CALLBACK ? 2 : 0);
	struct importer *imp;
	int err;

	imp = kzalloc_obj(*imp);
	if (!imp)
		return ERR_PTR(-ENOMEM);
	kref_init(&imp->ref);
	imp->how = *how;
	spin_lock_init(&imp->lock);
	INIT_DELAYED_WORK(&imp->unmap_work, importer_unmap_work);
	importer_fence_init(imp);

	imp->dmabuf = dma_buf_get(how->dmabuf_fd);
	if (IS_ERR(imp->dmabuf)) {
		err = PTR_ERR(imp->dmabuf);
		goto err_free;
	}
	imp->pdev = pci_get_domain_bus_and_slot(how->pci_domain, how->pci_bus, how->pci_devfn);
	if (!imp->pdev) {
		err = -ENODEV;
		goto err_buffer;
	}
	imp->attach = dma_buf_dynamic_attach(imp->dmabuf, &imp->pdev->dev,
					     &importer_attach_ops[lacks], imp);
	if (IS_ERR(imp->attach)) {
		err = PTR_ERR(imp->attach);
		goto err_device;
	}
	return imp;

err_device:
	pci_dev_put(imp->pdev);
err_buffer:
	dma_buf_put(imp->dmabuf);
err_free:
	kfree(imp);
	return ERR_PTR(err);
}

static void importer_release(struct kref *ref)
{
	struct importer *imp = container_of(ref, struct importer, ref);

	importer_close(imp);
	dma_resv_lock(importer_resv(imp), NULL);
	importer_unmap_locked(imp);
	if (imp->pinned)
		dma_buf_unpin(imp->attach);
	dma_resv_unlock(importer_resv(imp));

	/* Callbacks still come, but find nothing to do. */
	cancel_delayed_work_sync(&imp->unmap_work);
	cancel_delayed_work_sync(&imp->fence_work);
	dma_buf_detach(imp->dmabuf, imp->attach);
	pci_dev_put(imp->pdev);
	dma_buf_put(imp->dmabuf);
	kfree(imp);
}

void importer_put(struct importer *imp)
{
	kref_put(&imp->ref, importer_release);
}

static int importer_map_locked(struct importer *imp)
{
	struct sg_table *sgt;
	int err;

	if (imp->sgt)
		return -EALREADY;
	if (imp->how.flags & TEST_IMPORTER_PINNED && !imp->pinned) {
		err = dma_buf_pin(imp->attach);
		if (err)
			return err;
		imp->pinned = true;
	}
	sgt = dma_buf_map_attachment(imp->attach, importer_direction(imp));
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	spin_lock(&imp->lock);
	imp->sgt = sgt;
	imp->counts.segments = sgt->nents;
	imp->counts.mapped++;
	spin_unlock(&imp->lock);
	return 0;
}

int importer_map(struct importer *imp)
{
	int err;

	err = dma_resv_lock_interruptible(importer_resv(imp), NULL);
	if (err)
		return err;
	err = importer_map_locked(imp);
	dma_resv_unlock(importer_resv(imp));
	return err;
}

int importer_unmap(struct importer *imp)
{
	int err;

	err = dma_resv_lock_interruptible(importer_resv(imp), NULL);
	if (err)
		return err;
	importer_unmap_locked(imp);
	dma_resv_unlock(importer_resv(imp));
	return 0;
}

int importer_segments(struct importer *imp, struct test_importer_segments *args)
{
	struct test_importer_segment *segments;
	struct scatterlist *sg;
	unsigned int i;
	int err;

	segments = kvcalloc(args->room, sizeof(*segments), GFP_KERNEL);
	if (!segments)
		return -ENOMEM;
	err = dma_resv_lock_interruptible(importer_resv(imp), NULL);
	if (err)
		goto free;
	if (!imp->sgt) {
		err = -ENODATA;
		goto unlock;
	}
	args->count = imp->sgt->nents;
	for_each_sgtable_dma_sg(imp->sgt, sg, i) {
		if (i == args->room)
			break;
		segments[i].address = sg_dma_address(sg);
		segments[i].length = sg_dma_len(sg);
	}
unlock:
	dma_resv_unlock(importer_resv(imp));
	if (!err && copy_to_user(u64_to_user_ptr(args->segments), segments,
				 min(args->count, args->room) * sizeof(*segments)))
		err = -EFAULT;
free:
	kvfree(segments);
	return err;
}
