// SPDX-License-Identifier: GPL-2.0-only
/* Completion queues (section 8): rings in user memory. User space arms them through their slot. */

#include <linux/log2.h>

#include "pnic_verbs.h"

static int pnic_cq_check(struct pnic_dev *dev, const struct ib_cq_init_attr *attr,
			 const struct pnic_ib_create_cq *req)
{
	if (attr->flags & ~IB_UVERBS_CQ_FLAGS_TIMESTAMP_COMPLETION)
		return -EOPNOTSUPP;
	if (memchr_inv(req->reserved, 0, sizeof(req->reserved)))
		return -EINVAL;
	if (!attr->cqe || req->log_size > PNIC_CQ_LOG_MAX ||
	    BIT(req->log_size) > dev->caps.max_cqe || BIT(req->log_size) < attr->cqe)
		return -EINVAL;
	if (attr->comp_vector >= dev->num_comp_eqs)
		return -EINVAL;
	return 0;
}

static int pnic_cq_create_hw(struct pnic_dev *dev, struct pnic_cq *cq, u32 eqn, u8 log_size)
{
	struct pnic_cmd cmd = { .hdr.opcode = PNIC_CMD_CREATE_CQ };
	struct pnic_cmd_create_cq *create = &cmd.u.create_cq;
	struct pnic_pages pages;
	int err;

	err = pnic_pages_build(dev, cq->umem, &pages);
	if (err)
		return err;
	create->eqn = cpu_to_le32(eqn);
	create->uar = cpu_to_le32(cq->slot.uar->index);
	create->slot = cpu_to_le32(cq->slot.index);
	create->log_size = log_size;
	create->pages = pages.list;
	err = pnic_admin_create(dev, &cmd, &cq->cqn);
	pnic_pages_free(dev, &pages);
	if (err)
		return err;

	err = pnic_handle_publish(&dev->cqs, cq->cqn, &cq->handle);
	if (err) {
		if (err == -EBUSY)
			pnic_kill(dev, "CQ number given out twice");
		pnic_admin_destroy(dev, PNIC_CMD_DESTROY_CQ, cq->cqn);
	}
	return err;
}

static void pnic_cq_destroy_hw(struct pnic_dev *dev, struct pnic_cq *cq)
{
	/* In this order: once it is destroyed, its number may be somebody else's. */
	pnic_handle_retire(&dev->cqs, cq->cqn, &cq->handle);
	pnic_admin_destroy(dev, PNIC_CMD_DESTROY_CQ, cq->cqn);
}

int pnic_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		   struct uverbs_attr_bundle *attrs)
{
	struct pnic_dev *dev = to_pnic(ibcq->device);
	struct pnic_cq *cq = to_pnic_cq(ibcq);
	struct pnic_ib_create_cq_resp resp = {};
	struct pnic_ib_create_cq req = {};
	struct pnic_ucontext *uctx;
	struct ib_udata *udata;
	size_t bytes;
	int err;

	if (!attrs) /* an in-kernel user */
		return -EOPNOTSUPP;
	udata = &attrs->driver_udata;
	uctx = to_pnic_ucontext(attrs->context);
	if (udata->outlen < sizeof(resp))
		return -EINVAL;
	err = ib_copy_validate_udata_in(udata, req, reserved);
	if (err)
		return err;
	err = pnic_cq_check(dev, attr, &req);
	if (err)
		return err;

	bytes = sizeof(struct pnic_cqe) << req.log_size;
	cq->umem = ib_umem_get_cq_buf_or_va(&dev->ibdev, attrs, req.buf_addr, bytes,
					    IB_ACCESS_LOCAL_WRITE);
	if (IS_ERR(cq->umem))
		return PTR_ERR(cq->umem);
	if (!PAGE_ALIGNED(cq->umem->address) || cq->umem->length != bytes) {
		err = -EINVAL;
		goto err_umem;
	}
	err = pnic_slot_alloc(dev, uctx, &cq->slot);
	if (err)
		goto err_umem;
	err = pnic_cq_create_hw(dev, cq, dev->comp_eqs[attr->comp_vector].eqn, req.log_size);
	if (err)
		goto err_slot;

	ibcq->cqe = BIT(req.log_size);
	resp.uar_page = pnic_slot_mmap_offset(&cq->slot);
	resp.cqn = cq->cqn;
	resp.slot = cq->slot.index;
	err = ib_respond_udata(udata, resp);
	if (err)
		goto err_destroy;
	return 0;

err_destroy:
	pnic_cq_destroy_hw(dev, cq);
err_slot:
	pnic_slot_free(uctx, &cq->slot);
err_umem:
	ib_umem_release(cq->umem);
	return err;
}

int pnic_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata)
{
	struct pnic_dev *dev = to_pnic(ibcq->device);
	struct pnic_cq *cq = to_pnic_cq(ibcq);
	struct pnic_ucontext *uctx =
		rdma_udata_to_drv_context(udata, struct pnic_ucontext, ibucontext);
	int err;

	err = ib_no_udata_io(udata);
	if (err)
		return err;
	pnic_cq_destroy_hw(dev, cq);
	pnic_slot_free(uctx, &cq->slot);
	ib_umem_release(cq->umem);
	return 0;
}
