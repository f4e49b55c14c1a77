// SPDX-License-Identifier: GPL-2.0-only
/* Queue pairs (section 9): rings in user memory, states and attributes by MODIFY_QP. */

#include <linux/slab.h>

#include "pnic_verbs.h"

/* ---- create and destroy -------------------------------------------------------------------- */

static int pnic_qp_check(struct pnic_dev *dev, const struct ib_qp_init_attr *attr,
			 const struct pnic_ib_create_qp *req)
{
	if (attr->qp_type != IB_QPT_RC || attr->srq || attr->create_flags || attr->rwq_ind_tbl)
		return -EOPNOTSUPP;
	if (req->reserved || !PAGE_ALIGNED(req->sq_addr) || !PAGE_ALIGNED(req->rq_addr))
		return -EINVAL;
	if (req->sq_log_size > PNIC_QP_LOG_MAX || req->rq_log_size > PNIC_QP_LOG_MAX ||
	    BIT(req->sq_log_size) > dev->caps.max_qp_wr ||
	    BIT(req->rq_log_size) > dev->caps.max_qp_wr)
		return -EINVAL;
	if (req->sq_stride_shift < PNIC_SQ_STRIDE_SHIFT_MIN ||
	    req->sq_stride_shift > PNIC_SQ_STRIDE_SHIFT_MAX ||
	    req->rq_stride_shift < PNIC_RQ_STRIDE_SHIFT_MIN ||
	    req->rq_stride_shift > PNIC_RQ_STRIDE_SHIFT_MAX)
		return -EINVAL;
	return 0;
}

/* What the rings hold, which must be what the consumer wants or more. */
static int pnic_qp_caps(struct pnic_dev *dev, const struct pnic_ib_create_qp *req,
			const struct ib_qp_cap *wanted, struct ib_qp_cap *cap)
{
	u32 sq_room = BIT(req->sq_stride_shift) - sizeof(struct pnic_sq_wqe);
	u32 rq_room = BIT(req->rq_stride_shift) - sizeof(struct pnic_rq_wqe);

	cap->max_send_wr = BIT(req->sq_log_size);
	cap->max_recv_wr = BIT(req->rq_log_size);
	cap->max_send_sge = min_t(u32, sq_room / sizeof(struct pnic_sge), dev->caps.max_sge);
	cap->max_recv_sge = min_t(u32, rq_room / sizeof(struct pnic_sge), dev->caps.max_sge);
	cap->max_inline_data = min_t(u32, sq_room, dev->caps.max_inline);
	if (wanted->max_send_wr > cap->max_send_wr || wanted->max_recv_wr > cap->max_recv_wr ||
	    wanted->max_send_sge > cap->max_send_sge || wanted->max_recv_sge > cap->max_recv_sge ||
	    wanted->max_inline_data > cap->max_inline_data)
		return -EINVAL;
	return 0;
}

static int pnic_qp_pin(struct pnic_dev *dev, struct pnic_qp *qp,
		       const struct pnic_ib_create_qp *req)
{
	int err;

	qp->sq_umem = ib_umem_get_va(&dev->ibdev, req->sq_addr,
				     BIT(req->sq_log_size + req->sq_stride_shift),
				     IB_ACCESS_LOCAL_WRITE);
	if (IS_ERR(qp->sq_umem))
		return PTR_ERR(qp->sq_umem);
	qp->rq_umem = ib_umem_get_va(&dev->ibdev, req->rq_addr,
				     BIT(req->rq_log_size + req->rq_stride_shift),
				     IB_ACCESS_LOCAL_WRITE);
	if (IS_ERR(qp->rq_umem)) {
		err = PTR_ERR(qp->rq_umem);
		ib_umem_release(qp->sq_umem);
		return err;
	}
	return 0;
}

static void pnic_qp_unpin(struct pnic_qp *qp)
{
	ib_umem_release(qp->rq_umem);
	ib_umem_release(qp->sq_umem);
}

static int pnic_qp_create_hw(struct pnic_dev *dev, struct pnic_qp *qp,
			     const struct ib_qp_init_attr *attr,
			     const struct pnic_ib_create_qp *req)
{
	struct pnic_cmd cmd = { .hdr.opcode = PNIC_CMD_CREATE_QP };
	struct pnic_cmd_create_qp *create = &cmd.u.create_qp;
	struct pnic_pages sq, rq;
	u32 qpn;
	int err;

	err = pnic_pages_build(dev, qp->sq_umem, &sq);
	if (err)
		return err;
	err = pnic_pages_build(dev, qp->rq_umem, &rq);
	if (err)
		goto out_sq;
	create->pdn = cpu_to_le32(to_pnic_pd(qp->ibqp.pd)->pdn);
	create->scqn = cpu_to_le32(to_pnic_cq(attr->send_cq)->cqn);
	create->rcqn = cpu_to_le32(to_pnic_cq(attr->recv_cq)->cqn);
	create->srqn = cpu_to_le32(PNIC_NO_SRQ);
	create->uar = cpu_to_le32(qp->slot.uar->index);
	create->slot = cpu_to_le32(qp->slot.index);
	create->type = PNIC_QPT_RC;
	create->flags = qp->sig_all ? PNIC_QP_SQ_SIG_ALL : 0;
	create->sq_log_size = req->sq_log_size;
	create->sq_stride_shift = req->sq_stride_shift;
	create->rq_log_size = req->rq_log_size;
	create->rq_stride_shift = req->rq_stride_shift;
	create->sq = sq.list;
	create->rq = rq.list;
	err = pnic_admin_create(dev, &cmd, &qpn);
	if (err)
		goto out_rq;

	qp->ibqp.qp_num = qpn;
	err = qpn < PNIC_FIRST_QPN || qpn > PNIC_QPN_MASK ? -EBUSY :
	      pnic_handle_publish(&dev->qps, qpn, &qp->handle);
	if (err) {
		if (err == -EBUSY)
			pnic_kill(dev, "impossible QP number, or given out twice");
		pnic_admin_destroy(dev, PNIC_CMD_DESTROY_QP, qpn);
	}
out_rq:
	pnic_pages_free(dev, &rq);
out_sq:
	pnic_pages_free(dev, &sq);
	return err;
}

static void pnic_qp_destroy_hw(struct pnic_dev *dev, struct pnic_qp *qp)
{
	/* In this order: once it is destroyed, its number may be somebody else's. */
	pnic_handle_retire(&dev->qps, qp->ibqp.qp_num, &qp->handle);
	pnic_admin_destroy(dev, PNIC_CMD_DESTROY_QP, qp->ibqp.qp_num);
}

int pnic_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *attr, struct ib_udata *udata)
{
	struct pnic_dev *dev = to_pnic(ibqp->device);
	struct pnic_qp *qp = to_pnic_qp(ibqp);
	struct pnic_ib_create_qp_resp resp = {};
	struct pnic_ib_create_qp req = {};
	struct pnic_ucontext *uctx;
	int err;

	if (!udata)
		return -EOPNOTSUPP;
	uctx = rdma_udata_to_drv_context(udata, struct pnic_ucontext, ibucontext);
	if (udata->outlen < sizeof(resp))
		return -EINVAL;
	err = ib_copy_validate_udata_in(udata, req, reserved);
	if (err)
		return err;
	err = pnic_qp_check(dev, attr, &req);
	if (err)
		return err;
	err = pnic_qp_caps(dev, &req, &attr->cap, &qp->cap);
	if (err)
		return err;

	mutex_init(&qp->lock);
	qp->state = IB_QPS_RESET;
	qp->sig_all = attr->sq_sig_type == IB_SIGNAL_ALL_WR;
	err = pnic_qp_pin(dev, qp, &req);
	if (err)
		return err;
	err = pnic_slot_alloc(dev, uctx, &qp->slot);
	if (err)
		goto err_unpin;
	err = pnic_qp_create_hw(dev, qp, attr, &req);
	if (err)
		goto err_slot;

	attr->cap = qp->cap;
	resp.uar_page = pnic_slot_mmap_offset(&qp->slot);
	resp.qpn = ibqp->qp_num;
	resp.slot = qp->slot.index;
	err = ib_respond_udata(udata, resp);
	if (err)
		goto err_destroy;
	return 0;

err_destroy:
	pnic_qp_destroy_hw(dev, qp);
err_slot:
	pnic_slot_free(uctx, &qp->slot);
err_unpin:
	pnic_qp_unpin(qp);
	return err;
}

int pnic_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata)
{
	struct pnic_dev *dev = to_pnic(ibqp->device);
	struct pnic_qp *qp = to_pnic_qp(ibqp);
	struct pnic_ucontext *uctx =
		rdma_udata_to_drv_context(udata, struct pnic_ucontext, ibucontext);
	int err;

	err = ib_no_udata_io(udata);
	if (err)
		return err;
	pnic_qp_destroy_hw(dev, qp);
	pnic_slot_free(uctx, &qp->slot);
	pnic_qp_unpin(qp);
	mutex_destroy(&qp->lock);
	return 0;
}

/* ---- states and attributes ----------------------------------------------------------------- */

/* IB's attributes that MODIFY_QP has under another bit. PORT and PKEY_INDEX have one value each. */
static const struct {
	u32 ib;
	u32 pnic;
} pnic_qp_masks[] = {
	{ IB_QP_STATE, PNIC_QP_ATTR_STATE },
	{ IB_QP_CUR_STATE, PNIC_QP_ATTR_CUR_STATE },
	{ IB_QP_ACCESS_FLAGS, PNIC_QP_ATTR_ACCESS },
	{ IB_QP_AV, PNIC_QP_ATTR_AV },
	{ IB_QP_PATH_MTU, PNIC_QP_ATTR_PATH_MTU },
	{ IB_QP_TIMEOUT, PNIC_QP_ATTR_TIMEOUT },
	{ IB_QP_RETRY_CNT, PNIC_QP_ATTR_RETRY_CNT },
	{ IB_QP_RNR_RETRY, PNIC_QP_ATTR_RNR_RETRY },
	{ IB_QP_RQ_PSN, PNIC_QP_ATTR_RQ_PSN },
	{ IB_QP_MAX_QP_RD_ATOMIC, PNIC_QP_ATTR_MAX_RD_ATOMIC },
	{ IB_QP_MIN_RNR_TIMER, PNIC_QP_ATTR_MIN_RNR_TIMER },
	{ IB_QP_SQ_PSN, PNIC_QP_ATTR_SQ_PSN },
	{ IB_QP_MAX_DEST_RD_ATOMIC, PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC },
	{ IB_QP_DEST_QPN, PNIC_QP_ATTR_DEST_QPN },
};

#define PNIC_QP_KNOWN_MASK							\
	(IB_QP_STATE | IB_QP_CUR_STATE | IB_QP_ACCESS_FLAGS | IB_QP_AV |	\
	 IB_QP_PATH_MTU | IB_QP_TIMEOUT | IB_QP_RETRY_CNT | IB_QP_RNR_RETRY |	\
	 IB_QP_RQ_PSN | IB_QP_MAX_QP_RD_ATOMIC | IB_QP_MIN_RNR_TIMER |		\
	 IB_QP_SQ_PSN | IB_QP_MAX_DEST_RD_ATOMIC | IB_QP_DEST_QPN |		\
	 IB_QP_PORT | IB_QP_PKEY_INDEX)

#define PNIC_QP_ACCESS_KNOWN							\
	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ | \
	 IB_ACCESS_REMOTE_ATOMIC)

/* The numbers of enum ib_qp_state and enum pnic_qp_state are the same. */
static_assert(PNIC_QPS_RESET == (int)IB_QPS_RESET && PNIC_QPS_INIT == (int)IB_QPS_INIT &&
	      PNIC_QPS_RTR == (int)IB_QPS_RTR && PNIC_QPS_RTS == (int)IB_QPS_RTS &&
	      PNIC_QPS_ERR == (int)IB_QPS_ERR);

static int pnic_qp_check_modify(struct pnic_dev *dev, const struct ib_qp_attr *attr, int mask)
{
	if (mask & ~PNIC_QP_KNOWN_MASK)
		return -EOPNOTSUPP;
	if (mask & IB_QP_STATE &&
	    (attr->qp_state == IB_QPS_SQD || attr->qp_state == IB_QPS_SQE))
		return -EOPNOTSUPP;
	if (mask & IB_QP_PORT && attr->port_num != 1)
		return -EINVAL;
	if (mask & IB_QP_PKEY_INDEX && attr->pkey_index)
		return -EINVAL;
	if (mask & IB_QP_ACCESS_FLAGS && attr->qp_access_flags & ~PNIC_QP_ACCESS_KNOWN)
		return -EINVAL;
	if (mask & IB_QP_PATH_MTU &&
	    (attr->path_mtu < IB_MTU_256 || attr->path_mtu > dev->caps.max_mtu))
		return -EINVAL;
	if (mask & IB_QP_TIMEOUT && attr->timeout > 31)
		return -EINVAL;
	if (mask & IB_QP_RETRY_CNT && attr->retry_cnt > 7)
		return -EINVAL;
	if (mask & IB_QP_RNR_RETRY && attr->rnr_retry > 7)
		return -EINVAL;
	if (mask & IB_QP_MIN_RNR_TIMER && attr->min_rnr_timer > 31)
		return -EINVAL;
	if (mask & IB_QP_MAX_QP_RD_ATOMIC && attr->max_rd_atomic > dev->caps.max_rd_atomic)
		return -EINVAL;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC &&
	    attr->max_dest_rd_atomic > dev->caps.max_rd_atomic)
		return -EINVAL;
	if (mask & IB_QP_DEST_QPN && attr->dest_qp_num & ~PNIC_QPN_MASK)
		return -EINVAL;
	return 0;
}

static void pnic_av_fill(struct pnic_av *av, const struct rdma_ah_attr *ah)
{
	av->dlid = cpu_to_le16(rdma_ah_get_dlid(ah));
	av->sl = rdma_ah_get_sl(ah);
	av->static_rate = rdma_ah_get_static_rate(ah);
	if (rdma_ah_get_ah_flags(ah) & IB_AH_GRH) {
		const struct ib_global_route *grh = rdma_ah_read_grh(ah);

		av->flags = PNIC_AV_GRH;
		memcpy(av->dgid, grh->dgid.raw, sizeof(av->dgid));
		av->flow_label = cpu_to_le32(grh->flow_label);
		av->sgid_index = grh->sgid_index;
		av->hop_limit = grh->hop_limit;
		av->traffic_class = grh->traffic_class;
	}
}

static void pnic_qp_attr_fill(struct pnic_qp_attr *out, const struct ib_qp_attr *attr, int mask)
{
	/* Fields that the mask doesn't name stay zero. */
	if (mask & IB_QP_STATE)
		out->state = attr->qp_state;
	if (mask & IB_QP_CUR_STATE)
		out->cur_state = attr->cur_qp_state;
	if (mask & IB_QP_ACCESS_FLAGS)
		out->access = cpu_to_le32(pnic_access_flags(attr->qp_access_flags) &
					  ~PNIC_ACCESS_LOCAL_WRITE);
	if (mask & IB_QP_AV)
		pnic_av_fill(&out->av, &attr->ah_attr);
	if (mask & IB_QP_PATH_MTU)
		out->path_mtu = attr->path_mtu;
	if (mask & IB_QP_TIMEOUT)
		out->timeout = attr->timeout;
	if (mask & IB_QP_RETRY_CNT)
		out->retry_cnt = attr->retry_cnt;
	if (mask & IB_QP_RNR_RETRY)
		out->rnr_retry = attr->rnr_retry;
	if (mask & IB_QP_RQ_PSN)
		out->rq_psn = cpu_to_le32(attr->rq_psn);
	if (mask & IB_QP_SQ_PSN)
		out->sq_psn = cpu_to_le32(attr->sq_psn);
	if (mask & IB_QP_MAX_QP_RD_ATOMIC)
		out->max_rd_atomic = attr->max_rd_atomic;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC)
		out->max_dest_rd_atomic = attr->max_dest_rd_atomic;
	if (mask & IB_QP_MIN_RNR_TIMER)
		out->min_rnr_timer = attr->min_rnr_timer;
	if (mask & IB_QP_DEST_QPN)
		out->dest_qpn = cpu_to_le32(attr->dest_qp_num);
}

int pnic_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask, struct ib_udata *udata)
{
	struct pnic_cmd cmd = { .hdr.opcode = PNIC_CMD_MODIFY_QP };
	struct pnic_dev *dev = to_pnic(ibqp->device);
	struct pnic_qp *qp = to_pnic_qp(ibqp);
	enum ib_qp_state cur, next;
	u32 hw_mask = 0;
	size_t i;
	int err;

	err = ib_no_udata_io(udata);
	if (err)
		return err;
	err = pnic_qp_check_modify(dev, attr, mask);
	if (err)
		return err;

	mutex_lock(&qp->lock);
	cur = mask & IB_QP_CUR_STATE ? attr->cur_qp_state : qp->state;
	next = mask & IB_QP_STATE ? attr->qp_state : cur;
	err = -EINVAL;
	if (!ib_modify_qp_is_ok(cur, next, IB_QPT_RC, mask))
		goto out;
	for (i = 0; i < ARRAY_SIZE(pnic_qp_masks); i++)
		if (mask & pnic_qp_masks[i].ib)
			hw_mask |= pnic_qp_masks[i].pnic;
	cmd.u.modify_qp.qpn = cpu_to_le32(ibqp->qp_num);
	cmd.u.modify_qp.mask = cpu_to_le32(hw_mask);
	pnic_qp_attr_fill(&cmd.u.modify_qp.attr, attr, mask);
	err = pnic_admin_exec(dev, &cmd, NULL);
	if (!err)
		qp->state = next;
out:
	mutex_unlock(&qp->lock);
	return err;
}

static int pnic_ib_access(u32 access)
{
	return (access & PNIC_ACCESS_LOCAL_WRITE ? IB_ACCESS_LOCAL_WRITE : 0) |
	       (access & PNIC_ACCESS_REMOTE_WRITE ? IB_ACCESS_REMOTE_WRITE : 0) |
	       (access & PNIC_ACCESS_REMOTE_READ ? IB_ACCESS_REMOTE_READ : 0) |
	       (access & PNIC_ACCESS_REMOTE_ATOMIC ? IB_ACCESS_REMOTE_ATOMIC : 0);
}

static void pnic_av_parse(struct ib_device *ibdev, const struct pnic_av *av,
			  struct rdma_ah_attr *ah)
{
	ah->type = rdma_ah_find_type(ibdev, 1);
	rdma_ah_set_port_num(ah, 1);
	rdma_ah_set_dlid(ah, le16_to_cpu(av->dlid));
	rdma_ah_set_sl(ah, av->sl);
	rdma_ah_set_static_rate(ah, av->static_rate);
	if (av->flags & PNIC_AV_GRH) {
		union ib_gid dgid;

		memcpy(dgid.raw, av->dgid, sizeof(dgid.raw));
		rdma_ah_set_grh(ah, &dgid, le32_to_cpu(av->flow_label), av->sgid_index,
				av->hop_limit, av->traffic_class);
	}
}

static void pnic_qp_attr_parse(struct ib_device *ibdev, const struct pnic_qp_attr *in,
			       struct ib_qp_attr *attr)
{
	attr->qp_state = in->state;
	attr->cur_qp_state = in->state;
	attr->path_mtu = in->path_mtu;
	attr->path_mig_state = IB_MIG_MIGRATED;
	attr->rq_psn = le32_to_cpu(in->rq_psn) & PNIC_QPN_MASK;
	attr->sq_psn = le32_to_cpu(in->sq_psn) & PNIC_QPN_MASK;
	attr->dest_qp_num = le32_to_cpu(in->dest_qpn) & PNIC_QPN_MASK;
	attr->qp_access_flags = pnic_ib_access(le32_to_cpu(in->access));
	attr->max_rd_atomic = in->max_rd_atomic;
	attr->max_dest_rd_atomic = in->max_dest_rd_atomic;
	attr->min_rnr_timer = in->min_rnr_timer;
	attr->port_num = 1;
	attr->timeout = in->timeout;
	attr->retry_cnt = in->retry_cnt;
	attr->rnr_retry = in->rnr_retry;
	pnic_av_parse(ibdev, &in->av, &attr->ah_attr);
}

int pnic_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		  struct ib_qp_init_attr *init_attr)
{
	struct pnic_dev *dev = to_pnic(ibqp->device);
	struct pnic_qp *qp = to_pnic_qp(ibqp);
	struct pnic_qp_query answer;
	int err;

	mutex_lock(&qp->lock);
	err = pnic_admin_query(dev, PNIC_CMD_QUERY_QP, ibqp->qp_num, &answer, sizeof(answer));
	if (!err && answer.attr.state > PNIC_QPS_ERR)
		err = -EIO;
	if (!err)
		qp->state = answer.attr.state;
	mutex_unlock(&qp->lock);
	if (err)
		return err;

	memset(attr, 0, sizeof(*attr));
	memset(init_attr, 0, sizeof(*init_attr));
	pnic_qp_attr_parse(ibqp->device, &answer.attr, attr);
	attr->cap = qp->cap;
	init_attr->cap = qp->cap;
	init_attr->qp_type = ibqp->qp_type;
	init_attr->sq_sig_type = qp->sig_all ? IB_SIGNAL_ALL_WR : IB_SIGNAL_REQ_WR;
	init_attr->send_cq = ibqp->send_cq;
	init_attr->recv_cq = ibqp->recv_cq;
	init_attr->event_handler = ibqp->event_handler;
	init_attr->qp_context = ibqp->qp_context;
	return 0;
}
