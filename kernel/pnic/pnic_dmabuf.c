// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory regions of dma-bufs, whose exporter may take the memory away at any time. The callback
 * then fences the device, and the memory is unmapped before it returns, with dma_resv held (by
 * VFIO: memory_lock too), so it allocates nothing and waits for the admin queue only. The key
 * stays reserved. There are two kinds:
 *
 * - faultable: pnic_mr_map_work() maps again, if the exporter lets it: when an access has raised a
 *   fault, and when the exporter calls while nothing is mapped, by which it says that a new mapping
 *   may work, or (peermr's) that none ever will.
 * - revocable: pinned, and dead after the first invalidate, as irdma's are.
 */

#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pnic_verbs.h"

static const char *const pnic_import_names[] = { "faultable", "revocable" };
static bool pnic_import_revocable;

static int pnic_import_set(const char *value, const struct kernel_param *kp)
{
	int kind = sysfs_match_string(pnic_import_names, value);

	if (kind < 0)
		return kind;
	WRITE_ONCE(pnic_import_revocable, kind);
	return 0;
}

static int pnic_import_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", pnic_import_names[READ_ONCE(pnic_import_revocable)]);
}

static const struct kernel_param_ops pnic_import_ops = {
	.set = pnic_import_set,
	.get = pnic_import_get,
};

module_param_cb(dmabuf_import, &pnic_import_ops, NULL, 0644);
MODULE_PARM_DESC(dmabuf_import,
		 "what dma-bufs that are registered from now on become: faultable (default) or revocable");

static struct dma_resv *pnic_mr_resv(struct pnic_mr *mr)
{
	return to_ib_umem_dmabuf(mr->umem)->attach->dmabuf->resv;
}

/* The fence. A device that fails it is stopped, which is a fence as well. */
static void pnic_mr_fence(struct pnic_mr *mr, u32 flags)
{
	struct pnic_cmd cmd = {
		.hdr.opcode = PNIC_CMD_INVALIDATE_MR,
		.u.invalidate_mr.key = cpu_to_le32(mr->key),
		.u.invalidate_mr.flags = cpu_to_le32(flags),
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
		/*
		 * Being registered, or that has failed: the device knows nothing of it. Without a
		 * mapping the umem may not know yet what it is attached to.
		 */
		if (umem_dmabuf->sgt)
			ib_umem_dmabuf_unmap_pages(umem_dmabuf);
	} else if (mr->valid) {
		mr->valid = false;
		pnic_mr_fence(mr, 0);
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

/*
 * Maps an invalid MR's memory, or finds out that this will never be possible again: then whoever
 * uses the key is told so instead of being asked to wait.
 */
static int pnic_mr_map_or_revoke(struct pnic_mr *mr)
{
	int err;

	if (mr->valid || mr->closing || mr->dead)
		return 0;
	err = pnic_mr_validate(mr);
	if (err != -ENODEV || !pnic_buffer_is_dead(to_ib_umem_dmabuf(mr->umem)->attach->dmabuf))
		return err;
	mr->dead = true;
	pnic_mr_fence(mr, PNIC_INVALIDATE_REVOKE);
	return 0;
}

/* Tries to make the MR valid again; a restored buffer may refuse for a moment yet. */
static int pnic_mr_map_again(struct pnic_mr *mr)
{
	unsigned int tries = 0;
	int err;

	for (;;) {
		dma_resv_lock(pnic_mr_resv(mr), NULL);
		err = pnic_mr_map_or_revoke(mr);
		dma_resv_unlock(pnic_mr_resv(mr));
		if (!err || pnic_is_dead(mr->dev) || ++tries == PNIC_MR_MAP_TRIES)
			return err;
		usleep_range(1000, 2000);
	}
}

/*
 * Mainline's exporters say ENODEV for memory that is away for a while and for memory that is gone
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
	if (mr->faultable) {
		xchg(&mr->faulted, true); /* before the work can look at it */
		queue_work(dev->fault_wq, &mr->map_work);
	} else {
		dev_err_ratelimited(&dev->pdev->dev, "fault of pinned MR 0x%x\n", key);
	}
	pnic_handle_put(handle);
}

/* Once at most, with dma_resv held; from the core when the MR is released. */
static void pnic_mr_revoke(void *priv)
{
	struct pnic_mr *mr = priv;

	if (!mr->valid)
		return;
	mr->valid = false;
	pnic_mr_fence(mr, PNIC_INVALIDATE_REVOKE);
}

/*
 * From the exporter, with dma_resv held: a pinned buffer's first invalidate, and its last. ib_core
 * has this too, behind ib_umem_dmabuf_get_pinned_revocable_and_lock(), but asserts the lock there
 * through an attachment that the umem may not know yet: dma_buf_dynamic_attach() lists it, and
 * unlocks, before it returns. With lockdep that is a null pointer; and a buffer that was revoked in
 * that moment is pinned afterwards, and never unpinned.
 */
static void pnic_mr_invalidate_pinned(struct dma_buf_attachment *attach)
{
	struct ib_umem_dmabuf *umem_dmabuf = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (umem_dmabuf->revoked)
		return;
	umem_dmabuf->revoked = 1;
	if (umem_dmabuf->pinned_revoke)
		umem_dmabuf->pinned_revoke(umem_dmabuf->private);
	if (umem_dmabuf->sgt)
		ib_umem_dmabuf_unmap_pages(umem_dmabuf);
	if (umem_dmabuf->pinned) {
		umem_dmabuf->pinned = 0;
		dma_buf_unpin(attach);
	}
}

static const struct dma_buf_attach_ops pnic_mr_pinned_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = pnic_mr_invalidate_pinned,
};

/* The umem's release undoes it, also after an error. dma_resv is held. */
static int pnic_import_map(struct ib_umem_dmabuf *umem_dmabuf, bool faultable)
{
	int err;

	if (!faultable) {
		if (umem_dmabuf->revoked)
			return -ENODEV;
		err = dma_buf_pin(umem_dmabuf->attach);
		if (err)
			return err;
		umem_dmabuf->pinned = 1;
	}
	return ib_umem_dmabuf_map_pages(umem_dmabuf);
}

/* Attaches and maps: what can never work fails here. On success dma_resv is held. */
static struct ib_umem_dmabuf *pnic_import_and_lock(struct pnic_dev *dev, bool faultable, u64 offset,
						   u64 length, int fd, int access)
{
	struct ib_umem_dmabuf *umem_dmabuf;
	int err;

	umem_dmabuf = ib_umem_dmabuf_get(&dev->ibdev, offset, length, fd, access,
					 faultable ? &pnic_mr_attach_ops :
						     &pnic_mr_pinned_attach_ops);
	if (IS_ERR(umem_dmabuf))
		return umem_dmabuf;
	dma_resv_lock(umem_dmabuf->attach->dmabuf->resv, NULL);
	err = pnic_import_map(umem_dmabuf, faultable);
	if (!err)
		return umem_dmabuf;
	dma_resv_unlock(umem_dmabuf->attach->dmabuf->resv);
	ib_umem_release(&umem_dmabuf->umem);
	return ERR_PTR(err);
}

/* From here on the exporter's callback finds the MR and fences it. dma_resv is held. */
static void pnic_mr_arm(struct pnic_mr *mr)
{
	struct ib_umem_dmabuf *umem_dmabuf = to_ib_umem_dmabuf(mr->umem);

	mr->valid = true;
	if (mr->faultable)
		umem_dmabuf->private = mr;
	else
		ib_umem_dmabuf_set_revoke_locked(umem_dmabuf, pnic_mr_revoke, mr);
}

/*
 * Errors beside the usual ones: EOPNOTSUPP, the exporter refuses this kind of importer; EINVAL
 * (EXDEV from peermr's exporter), the device can't reach the memory peer to peer; ENODEV, the
 * memory is revoked at the moment; EPERM, it is private; EACCES, it is read-only.
 */
struct ib_mr *pnic_reg_user_mr_dmabuf(struct ib_pd *ibpd, u64 offset, u64 length, u64 iova, int fd,
				      int access, struct ib_dmah *dmah,
				      struct uverbs_attr_bundle *attrs)
{
	struct pnic_dev *dev = to_pnic(ibpd->device);
	struct ib_umem_dmabuf *umem_dmabuf;
	struct pnic_mr *mr;
	int err;

	if (dmah)
		return ERR_PTR(-EOPNOTSUPP);
	err = pnic_mr_check(dev, length, iova, access);
	if (err)
		return ERR_PTR(err);
	mr = kzalloc_obj(*mr);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->dev = dev;
	mr->faultable = !READ_ONCE(pnic_import_revocable);
	INIT_WORK(&mr->map_work, pnic_mr_map_work);
	if (mr->faultable && !(dev->caps.features & PNIC_FEATURE_FAULTABLE_MR)) {
		err = -EOPNOTSUPP;
		goto err_free;
	}
	umem_dmabuf = pnic_import_and_lock(dev, mr->faultable, offset, length, fd, access);
	if (IS_ERR(umem_dmabuf)) {
		err = PTR_ERR(umem_dmabuf);
		if (err == -EPERM)
			pnic_explain_refusal(dev, fd);
		goto err_free;
	}
	mr->umem = &umem_dmabuf->umem;

	err = pnic_mr_create(mr, to_pnic_pd(ibpd)->pdn, iova, access,
			     mr->faultable ? PNIC_MR_FAULTABLE : 0);
	if (!err)
		pnic_mr_arm(mr);
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

/* The device forgets the key, and nobody else finds the MR any more. Its umem is to be released. */
void pnic_mr_close_dmabuf(struct pnic_mr *mr)
{
	dma_resv_lock(pnic_mr_resv(mr), NULL);
	mr->closing = true;
	dma_resv_unlock(pnic_mr_resv(mr));
	cancel_work_sync(&mr->map_work);

	/* Not while the exporter's callback invalidates a key that is about to vanish. */
	dma_resv_lock(pnic_mr_resv(mr), NULL);
	pnic_admin_destroy(mr->dev, PNIC_CMD_DESTROY_MR, mr->key);
	if (mr->valid && mr->faultable)
		ib_umem_dmabuf_unmap_pages(to_ib_umem_dmabuf(mr->umem));
	mr->valid = false;
	dma_resv_unlock(pnic_mr_resv(mr));
}
