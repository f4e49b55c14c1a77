// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory regions (section 6): host memory, pinned, and dma-bufs, imported dynamically.
 *
 * The exporter of a dma-buf may take its memory away at any time. pnic_mr_invalidate() then
 * fences the device and unmaps before it returns, with dma_resv held (by VFIO: memory_lock too), so
 * it allocates nothing and waits for the admin queue only. The key stays. pnic_mr_map_work() maps
 * again, if the exporter lets it: when an access has raised a fault, and when the exporter calls
 * while nothing is mapped, by which it says that a new mapping may work.
 */

#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include "pnic_verbs.h"

static int pnic_mr_check(struct pnic_dev *dev, u64 length, u64 iova, int access)
{
	u64 end;

	if (!length || check_add_overflow(iova, length, &end))
		return -EINVAL;
	if (length > dev->caps.max_mr_size)
		return -EINVAL;
	if (access & (IB_ACCESS_MW_BIND | IB_ZERO_BASED | IB_ACCESS_ON_DEMAND |
		      IB_ACCESS_FLUSH_GLOBAL | IB_ACCESS_FLUSH_PERSISTENT))
		return -EOPNOTSUPP;
	return 0;
}

/* CREATE_MR for the memory that mr->umem maps now. */
static int pnic_mr_create(struct pnic_mr *mr, u32 pdn, u64 iova, int access, u32 flags)
{
	struct pnic_cmd cmd = { .hdr.opcode = PNIC_CMD_CREATE_MR };
	struct pnic_cmd_create_mr *create = &cmd.u.create_mr;
	struct pnic_dev *dev = mr->dev;
	struct pnic_pages pages;
	int err;

	err = pnic_pages_build(dev, mr->umem, &pages);
	if (err)
		return err;
	create->pdn = cpu_to_le32(pdn);
	create->access = cpu_to_le32(pnic_access_flags(access));
	create->flags = cpu_to_le32(flags);
	create->iova = cpu_to_le64(iova);
	create->length = cpu_to_le64(mr->umem->length);
	create->pages = pages.list;
	err = pnic_admin_create(dev, &cmd, &mr->key);
	pnic_pages_free(dev, &pages);
	if (err)
		return err;

	err = pnic_handle_publish(&dev->mrs, mr->key, &mr->handle);
	if (err) {
		if (err == -EBUSY)
			pnic_kill(dev, "key given out twice");
		pnic_admin_destroy(dev, PNIC_CMD_DESTROY_MR, mr->key);
		return err;
	}
	mr->ibmr.lkey = mr->key;
	mr->ibmr.rkey = mr->key;
	mr->ibmr.iova = iova;
	mr->ibmr.length = mr->umem->length;
	return 0;
}

struct ib_mr *pnic_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova, int access,
			       struct ib_dmah *dmah, struct ib_udata *udata)
{
	struct pnic_dev *dev = to_pnic(ibpd->device);
	struct pnic_mr *mr;
	int err;

	if (dmah)
		return ERR_PTR(-EOPNOTSUPP);
	err = ib_no_udata_io(udata);
	if (err)
		return ERR_PTR(err);
	err = pnic_mr_check(dev, length, iova, access);
	if (err)
		return ERR_PTR(err);
	mr = kzalloc_obj(*mr);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->dev = dev;
	mr->umem = ib_umem_get_va(&dev->ibdev, start, length, access);
	if (IS_ERR(mr->umem)) {
		err = PTR_ERR(mr->umem);
		goto err_free;
	}
	err = pnic_mr_create(mr, to_pnic_pd(ibpd)->pdn, iova, access, 0);
	if (err)
		goto err_release;
	return &mr->ibmr;

err_release:
	ib_umem_release(mr->umem);
err_free:
	kfree(mr);
	return ERR_PTR(err);
}

/* ---- dma-bufs ------------------------------------------------------------------------------ */

static struct dma_resv *pnic_mr_resv(struct pnic_mr *mr)
{
	return to_ib_umem_dmabuf(mr->umem)->attach->dmabuf->resv;
}

/* The fence. A device that fails it is stopped, which is a fence as well. */
static void pnic_mr_fence(struct pnic_mr *mr)
{
	struct pnic_cmd cmd = {
		.hdr.opcode = PNIC_CMD_INVALIDATE_MR,
		.u.invalidate_mr.key = cpu_to_le32(mr->key),
	};

	if (pnic_is_dead(mr->dev))
		return;
	if (pnic_admin_exec(mr->dev, &cmd, NULL))
		pnic_kill(mr->dev, "invalidation failed");
}

/* From the exporter, with dma_resv held. When it returns the memory is neither used nor mapped. */
static void pnic_mr_invalidate(struct dma_buf_attachment *attach)
{
	struct ib_umem_dmabuf *umem_dmabuf = attach->importer_priv;
	struct pnic_mr *mr = umem_dmabuf->private;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (!mr) {
		/* Being registered, or that has failed: the device knows nothing of it. */
		ib_umem_dmabuf_unmap_pages(umem_dmabuf);
	} else if (mr->valid) {
		mr->valid = false;
		pnic_mr_fence(mr);
		ib_umem_dmabuf_unmap_pages(umem_dmabuf);
	} else if (!mr->closing) {
		queue_work(mr->dev->fault_wq, &mr->map_work);
	}
}

static const struct dma_buf_attach_ops pnic_mr_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = pnic_mr_invalidate,
};

/* Maps an invalid MR's memory and makes the MR valid. dma_resv is held. */
static int pnic_mr_validate(struct pnic_mr *mr)
{
	struct ib_umem_dmabuf *umem_dmabuf = to_ib_umem_dmabuf(mr->umem);
	struct pnic_cmd cmd = {
		.hdr.opcode = PNIC_CMD_VALIDATE_MR,
		.u.validate_mr.key = cpu_to_le32(mr->key),
	};
	struct pnic_pages pages;
	int err;

	err = ib_umem_dmabuf_map_pages(umem_dmabuf);
	if (err)
		goto err_unmap; /* a wait for fences may fail with the mapping in place */
	err = pnic_pages_build(mr->dev, mr->umem, &pages);
	if (err)
		goto err_unmap;
	cmd.u.validate_mr.pages = pages.list;
	err = pnic_admin_exec(mr->dev, &cmd, NULL);
	pnic_pages_free(mr->dev, &pages);
	if (err)
		goto err_unmap;
	mr->valid = true;
	return 0;

err_unmap:
	ib_umem_dmabuf_unmap_pages(umem_dmabuf);
	return err;
}

#define PNIC_MR_MAP_TRIES	2

/* Tries to make the MR valid again; a restored buffer may refuse for a moment yet. */
static int pnic_mr_map_again(struct pnic_mr *mr)
{
	unsigned int tries = 0;
	int err;

	for (;;) {
		dma_resv_lock(pnic_mr_resv(mr), NULL);
		err = mr->valid || mr->closing ? 0 : pnic_mr_validate(mr);
		dma_resv_unlock(pnic_mr_resv(mr));
		if (!err || pnic_is_dead(mr->dev) || ++tries == PNIC_MR_MAP_TRIES)
			return err;
		usleep_range(1000, 2000);
	}
}

/*
 * The exporters of today say ENODEV for memory that is away for a while and for memory that is gone
 * for good, so the MR isn't revoked when mapping fails: the device's and the requester's own limits
 * end what waits for it. The device raises no second fault before FAULT_DONE, so the pause between
 * the tries also keeps a peer that insists from keeping us busy.
 */
static void pnic_mr_map_work(struct work_struct *work)
{
	struct pnic_mr *mr = container_of(work, struct pnic_mr, map_work);
	struct pnic_cmd cmd = {
		.hdr.opcode = PNIC_CMD_FAULT_DONE,
		.u.object.handle = cpu_to_le32(mr->key),
	};
	bool faulted = xchg(&mr->faulted, false);
	int err;

	err = pnic_mr_map_again(mr);
	if (!err || !faulted)
		return;
	dev_dbg(&mr->dev->pdev->dev, "fault of MR 0x%x: %d\n", mr->key, err);
	pnic_admin_exec(mr->dev, &cmd, NULL);
}

/* Any context: the event that a fault is. */
void pnic_mr_fault(struct pnic_dev *dev, u32 key)
{
	struct pnic_handle *handle = pnic_handle_find(&dev->mrs, key);
	struct pnic_mr *mr;

	if (!handle)
		return;
	mr = container_of(handle, struct pnic_mr, handle);
	if (mr->umem->is_dmabuf) {
		xchg(&mr->faulted, true); /* before the work can look at it */
		queue_work(dev->fault_wq, &mr->map_work);
	} else {
		dev_err_ratelimited(&dev->pdev->dev, "fault of pinned MR 0x%x\n", key);
	}
	pnic_handle_put(handle);
}

/*
 * Errors beside the usual ones: EOPNOTSUPP, the exporter refuses this kind of importer; EINVAL (EXDEV
 * from peermr's exporter), the device can't reach the memory peer to peer; ENODEV, the memory is
 * revoked at the moment; EPERM, it is private; EACCES, it is read-only.
 */
struct ib_mr *pnic_reg_user_mr_dmabuf(struct ib_pd *ibpd, u64 offset, u64 length, u64 iova, int fd,
				      int access, struct ib_dmah *dmah,
				      struct uverbs_attr_bundle *attrs)
{
	struct pnic_dev *dev = to_pnic(ibpd->device);
	struct ib_umem_dmabuf *umem_dmabuf;
	struct pnic_mr *mr;
	int err;

	if (dmah || !(dev->caps.features & PNIC_FEATURE_FAULTABLE_MR))
		return ERR_PTR(-EOPNOTSUPP);
	err = pnic_mr_check(dev, length, iova, access);
	if (err)
		return ERR_PTR(err);
	mr = kzalloc_obj(*mr);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->dev = dev;
	INIT_WORK(&mr->map_work, pnic_mr_map_work);
	umem_dmabuf = ib_umem_dmabuf_get(&dev->ibdev, offset, length, fd, access,
					 &pnic_mr_attach_ops);
	if (IS_ERR(umem_dmabuf)) {
		err = PTR_ERR(umem_dmabuf);
		goto err_free;
	}
	mr->umem = &umem_dmabuf->umem;

	/*
	 * Mapped at once, so that what can never work fails here, and in one section with the
	 * command: from its end on the exporter's callback finds the MR and fences it.
	 */
	dma_resv_lock(pnic_mr_resv(mr), NULL);
	err = pnic_check_private(dev, umem_dmabuf->attach->dmabuf);
	if (!err)
		err = ib_umem_dmabuf_map_pages(umem_dmabuf);
	if (!err)
		err = pnic_mr_create(mr, to_pnic_pd(ibpd)->pdn, iova, access, PNIC_MR_FAULTABLE);
	if (!err) {
		mr->valid = true;
		umem_dmabuf->private = mr;
	}
	dma_resv_unlock(pnic_mr_resv(mr));
	if (err)
		goto err_release;
	return &mr->ibmr;

err_release:
	ib_umem_release(mr->umem);
err_free:
	kfree(mr);
	return ERR_PTR(err);
}

/* The device forgets the key, and nobody else finds the MR any more. */
static void pnic_mr_close_dmabuf(struct pnic_mr *mr)
{
	dma_resv_lock(pnic_mr_resv(mr), NULL);
	mr->closing = true;
	dma_resv_unlock(pnic_mr_resv(mr));
	cancel_work_sync(&mr->map_work);

	/* Not while the exporter's callback invalidates a key that is about to vanish. */
	dma_resv_lock(pnic_mr_resv(mr), NULL);
	pnic_admin_destroy(mr->dev, PNIC_CMD_DESTROY_MR, mr->key);
	if (mr->valid)
		ib_umem_dmabuf_unmap_pages(to_ib_umem_dmabuf(mr->umem));
	mr->valid = false;
	dma_resv_unlock(pnic_mr_resv(mr));
}

/* Can't fail: if the device doesn't comply it is stopped. */
int pnic_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct pnic_mr *mr = to_pnic_mr(ibmr);
	struct pnic_dev *dev = mr->dev;
	int err;

	err = ib_no_udata_io(udata);
	if (err)
		return err;
	pnic_handle_retire(&dev->mrs, mr->key, &mr->handle);
	if (mr->umem->is_dmabuf)
		pnic_mr_close_dmabuf(mr);
	else
		pnic_admin_destroy(dev, PNIC_CMD_DESTROY_MR, mr->key);
	ib_umem_release(mr->umem);
	kfree(mr);
	return 0;
}
