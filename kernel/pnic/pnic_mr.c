// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory regions (section 6): what all have in common, and those of host memory, which is pinned.
 */

#include <linux/slab.h>

#include "pnic_verbs.h"

int pnic_mr_check(struct pnic_dev *dev, u64 length, u64 iova, int access)
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
int pnic_mr_create(struct pnic_mr *mr, u32 pdn, u64 iova, int access, u32 flags)
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
