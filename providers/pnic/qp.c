// SPDX-License-Identifier: BSD-2-Clause
/* Queue pairs: creation, states, and the table that finds them by number. */

#include <errno.h>
#include <stdlib.h>

#include <util/util.h>

#include "doorbell.h"
#include "pnic.h"
#include "pnic_abi.h"

static_assert(sizeof(struct pnic_sq_wqe) == 32 && sizeof(struct pnic_rq_wqe) == 16 &&
		      sizeof(struct pnic_sge) == 16,
	      "heads and SGEs share the stride");

struct pnic_qp *pnic_find_qp(struct pnic_context *ctx, uint32_t qpn)
{
	pnic_qp_entry *block;

	qpn &= PNIC_QPN_MASK;
	block = atomic_load_explicit(&ctx->qp_table[qpn >> PNIC_QP_TABLE_SHIFT],
				     memory_order_acquire);
	if (!block)
		return NULL;
	return atomic_load_explicit(&block[qpn & (PNIC_QP_TABLE_ENTRIES - 1)],
				    memory_order_acquire);
}

/* Blocks stay until the context is closed: polls read them without a lock. */
static int enter_qp(struct pnic_context *ctx, struct pnic_qp *qp)
{
	uint32_t qpn = qp->vqp.qp.qp_num & PNIC_QPN_MASK;
	pnic_qp_entry *_Atomic *slot = &ctx->qp_table[qpn >> PNIC_QP_TABLE_SHIFT];
	pnic_qp_entry *block;

	pthread_mutex_lock(&ctx->lock);
	block = atomic_load_explicit(slot, memory_order_relaxed);
	if (!block) {
		block = calloc(PNIC_QP_TABLE_ENTRIES, sizeof(*block));
		if (block)
			atomic_store_explicit(slot, block, memory_order_release);
	}
	if (block)
		atomic_store_explicit(&block[qpn & (PNIC_QP_TABLE_ENTRIES - 1)], qp,
				      memory_order_release);
	pthread_mutex_unlock(&ctx->lock);
	return block ? 0 : ENOMEM;
}

static void leave_qp(struct pnic_context *ctx, uint32_t qpn)
{
	pnic_qp_entry *block;

	qpn &= PNIC_QPN_MASK;
	block = atomic_load_explicit(&ctx->qp_table[qpn >> PNIC_QP_TABLE_SHIFT],
				     memory_order_relaxed);
	atomic_store_explicit(&block[qpn & (PNIC_QP_TABLE_ENTRIES - 1)], NULL,
			      memory_order_release);
}

static int check_cap(const struct pnic_context *ctx, const struct ibv_qp_cap *cap)
{
	uint32_t max_wr = ctx->max_qp_wr;
	uint32_t max_sge = ctx->max_sge;
	uint32_t max_inline = ctx->max_inline;

	if (max_wr > 1u << PNIC_QP_LOG_MAX)
		max_wr = 1u << PNIC_QP_LOG_MAX;
	if (max_sge > PNIC_MAX_SGE)
		max_sge = PNIC_MAX_SGE;
	if (max_inline > PNIC_MAX_INLINE)
		max_inline = PNIC_MAX_INLINE;
	if (cap->max_send_wr > max_wr || cap->max_recv_wr > max_wr ||
	    cap->max_send_sge > max_sge || cap->max_recv_sge > max_sge ||
	    cap->max_inline_data > max_inline)
		return EINVAL;
	return 0;
}

/* Lays out a queue of at least @wrs WQEs of at least @bytes each, head included. */
static void size_wq(struct pnic_wq *wq, uint32_t wrs, uint32_t bytes, uint32_t shift_min,
		    uint32_t head)
{
	wq->log_size = pnic_log2_ceil(wrs);
	wq->size = 1u << wq->log_size;
	wq->stride_shift = pnic_log2_ceil(bytes);
	if (wq->stride_shift < shift_min)
		wq->stride_shift = shift_min;
	wq->max_sge = (uint32_t)(((1u << wq->stride_shift) - head) / sizeof(struct pnic_sge));
	if (wq->max_sge > PNIC_MAX_SGE)
		wq->max_sge = PNIC_MAX_SGE;
}

static size_t wq_bytes(const struct pnic_wq *wq)
{
	return align((size_t)wq->size << wq->stride_shift, PNIC_PAGE_SIZE);
}

static int alloc_rings(struct pnic_qp *qp, const struct ibv_qp_cap *cap)
{
	const uint32_t send_head = sizeof(struct pnic_sq_wqe);
	const uint32_t recv_head = sizeof(struct pnic_rq_wqe);
	const uint32_t sge = sizeof(struct pnic_sge);
	uint32_t send_bytes = cap->max_send_sge * sge;
	size_t sq_bytes;

	if (send_bytes < cap->max_inline_data)
		send_bytes = cap->max_inline_data;
	size_wq(&qp->sq, cap->max_send_wr, send_head + send_bytes, PNIC_SQ_STRIDE_SHIFT_MIN,
		send_head);
	size_wq(&qp->rq, cap->max_recv_wr, recv_head + cap->max_recv_sge * sge,
		PNIC_RQ_STRIDE_SHIFT_MIN, recv_head);
	qp->max_inline = (1u << qp->sq.stride_shift) - send_head;
	if (qp->max_inline > PNIC_MAX_INLINE)
		qp->max_inline = PNIC_MAX_INLINE;

	sq_bytes = wq_bytes(&qp->sq);
	qp->rings_bytes = sq_bytes + wq_bytes(&qp->rq);
	qp->rings = pnic_alloc_ring(qp->rings_bytes);
	if (!qp->rings)
		return errno;
	qp->sq.ring = qp->rings;
	qp->rq.ring = qp->sq.ring + sq_bytes;
	return 0;
}

/* What was made, which may be more than what was asked for. */
static void report_cap(const struct pnic_qp *qp, struct ibv_qp_cap *cap)
{
	cap->max_send_wr = qp->sq.size;
	cap->max_recv_wr = qp->rq.size;
	cap->max_send_sge = qp->sq.max_sge;
	cap->max_recv_sge = qp->rq.max_sge;
	cap->max_inline_data = qp->max_inline;
}

static int init_qp(struct pnic_context *ctx, struct pnic_qp *qp, struct ibv_qp_init_attr_ex *attr)
{
	struct pnic_create_qp_resp resp = {};
	struct pnic_create_qp cmd = {};
	int err;

	err = alloc_rings(qp, &attr->cap);
	if (err)
		return err;
	cmd.sq_addr = (uintptr_t)qp->sq.ring;
	cmd.rq_addr = (uintptr_t)qp->rq.ring;
	cmd.sq_log_size = (uint8_t)qp->sq.log_size;
	cmd.sq_stride_shift = (uint8_t)qp->sq.stride_shift;
	cmd.rq_log_size = (uint8_t)qp->rq.log_size;
	cmd.rq_stride_shift = (uint8_t)qp->rq.stride_shift;
	err = ibv_cmd_create_qp_ex(&ctx->vctx.context, &qp->vqp, attr, &cmd.ibv_cmd, sizeof(cmd),
				   &resp.ibv_resp, sizeof(resp));
	if (err)
		goto err_rings;
	qp->slot = pnic_map_slot(ctx, resp.uar_page, resp.slot);
	err = qp->slot ? enter_qp(ctx, qp) : errno;
	if (err)
		goto err_qp;
	report_cap(qp, &attr->cap);
	return 0;

err_qp:
	ibv_cmd_destroy_qp(&qp->vqp.qp);
err_rings:
	pnic_free_ring(qp->rings, qp->rings_bytes);
	return err;
}

static int check_attr(const struct pnic_context *ctx, const struct ibv_qp_init_attr_ex *attr)
{
	if (!check_comp_mask(attr->comp_mask, IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_CREATE_FLAGS |
						      IBV_QP_INIT_ATTR_SEND_OPS_FLAGS))
		return EOPNOTSUPP;
	if (attr->qp_type != IBV_QPT_RC || attr->srq)
		return EOPNOTSUPP;
	if ((attr->comp_mask & IBV_QP_INIT_ATTR_CREATE_FLAGS) && attr->create_flags)
		return EOPNOTSUPP;
	if ((attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS) &&
	    (attr->send_ops_flags & ~(uint64_t)PNIC_SEND_OPS))
		return EOPNOTSUPP;
	if (!(attr->comp_mask & IBV_QP_INIT_ATTR_PD) || !attr->send_cq || !attr->recv_cq)
		return EINVAL;
	return check_cap(ctx, &attr->cap);
}

struct ibv_qp *pnic_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr)
{
	struct pnic_context *ctx = to_pctx(context);
	struct ibv_qp_init_attr_ex core = *attr;
	struct pnic_qp *qp;
	int err;

	err = check_attr(ctx, attr);
	if (err) {
		errno = err;
		return NULL;
	}
	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return NULL;
	pnic_lock_init(&qp->sq.lock, true);
	pnic_lock_init(&qp->rq.lock, true);
	/* What is zero or ours alone is nothing for the kernel. */
	core.comp_mask = IBV_QP_INIT_ATTR_PD;
	err = init_qp(ctx, qp, &core);
	if (err) {
		free(qp);
		errno = err;
		return NULL;
	}
	attr->cap = core.cap;
	if (attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS) {
		pnic_set_wr_ops(qp, attr->send_ops_flags);
		qp->vqp.comp_mask |= VERBS_QP_EX;
	}
	return &qp->vqp.qp;
}

struct ibv_qp *pnic_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct ibv_qp_init_attr_ex ex = {
		.qp_context = attr->qp_context,
		.send_cq = attr->send_cq,
		.recv_cq = attr->recv_cq,
		.srq = attr->srq,
		.cap = attr->cap,
		.qp_type = attr->qp_type,
		.sq_sig_all = attr->sq_sig_all,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = pd,
	};
	struct ibv_qp *qp = pnic_create_qp_ex(pd->context, &ex);

	if (qp)
		attr->cap = ex.cap;
	return qp;
}

static void clean_cqs(struct pnic_qp *qp)
{
	struct ibv_qp *ibqp = &qp->vqp.qp;

	pnic_clean_cq(to_pcq(ibqp->send_cq), ibqp->qp_num);
	if (ibqp->recv_cq != ibqp->send_cq)
		pnic_clean_cq(to_pcq(ibqp->recv_cq), ibqp->qp_num);
}

static void reset_wq(struct pnic_wq *wq)
{
	wq->pi = 0;
	atomic_store_explicit(&wq->ci, 0, memory_order_release);
}

/*
 * The device counts from 0 again, and doesn't look at the slot of a QP in RESET: what an application
 * posts meanwhile, against the rules, is forgotten like the rest.
 */
static void reset_queues(struct pnic_qp *qp)
{
	pnic_lock(&qp->sq.lock);
	pnic_lock(&qp->rq.lock);
	mmio_write64(qp->slot, 0);
	clean_cqs(qp);
	reset_wq(&qp->sq);
	reset_wq(&qp->rq);
	/* Posts are refused from now on, not only once libibverbs has noted the state. */
	qp->vqp.qp.state = IBV_QPS_RESET;
	pnic_unlock(&qp->rq.lock);
	pnic_unlock(&qp->sq.lock);
}

int pnic_modify_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int attr_mask)
{
	struct ibv_modify_qp cmd = {};
	int err;

	err = ibv_cmd_modify_qp(ibqp, attr, attr_mask, &cmd, sizeof(cmd));
	if (!err && (attr_mask & IBV_QP_STATE) && attr->qp_state == IBV_QPS_RESET)
		reset_queues(to_pqp(ibqp));
	return err;
}

int pnic_query_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int attr_mask,
		  struct ibv_qp_init_attr *init_attr)
{
	struct ibv_query_qp cmd = {};
	int err;

	err = ibv_cmd_query_qp(ibqp, attr, attr_mask, init_attr, &cmd, sizeof(cmd));
	if (err)
		return err;
	report_cap(to_pqp(ibqp), &init_attr->cap);
	attr->cap = init_attr->cap;
	return 0;
}

int pnic_destroy_qp(struct ibv_qp *ibqp)
{
	struct pnic_qp *qp = to_pqp(ibqp);
	int err;

	err = ibv_cmd_destroy_qp(ibqp);
	if (err)
		return err;
	/* The device has forgotten the QP: its completions are all in the rings by now. */
	leave_qp(to_pctx(ibqp->context), ibqp->qp_num);
	clean_cqs(qp);
	pnic_free_ring(qp->rings, qp->rings_bytes);
	pthread_spin_destroy(&qp->sq.lock.spin);
	pthread_spin_destroy(&qp->rq.lock.spin);
	free(qp);
	return 0;
}
