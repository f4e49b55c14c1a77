// SPDX-License-Identifier: BSD-2-Clause
/* Completion queues: creation, polling, arming. */

#include <errno.h>
#include <stdlib.h>

#include <util/compiler.h>
#include <util/util.h>

#include "doorbell.h"
#include "pnic.h"
#include "pnic_abi.h"

/* Put in the place of the opcode of a completion that nobody wants any more. */
#define PNIC_CQE_STALE 0xff

static_assert(sizeof(struct pnic_cqe) == 64, "the stride of a CQ");

/* Opcodes are passed on as they are. */
#define SAME(ours, theirs) ((unsigned int)(ours) == (unsigned int)(theirs))
static_assert(SAME(PNIC_CQE_SEND, IBV_WC_SEND), "send");
static_assert(SAME(PNIC_CQE_RDMA_WRITE, IBV_WC_RDMA_WRITE), "write");
static_assert(SAME(PNIC_CQE_RDMA_READ, IBV_WC_RDMA_READ), "read");
static_assert(SAME(PNIC_CQE_RECV, IBV_WC_RECV), "receive");
static_assert(SAME(PNIC_CQE_RECV_RDMA_WITH_IMM, IBV_WC_RECV_RDMA_WITH_IMM), "write with immediate");
#undef SAME

static bool cqe_ready(const struct pnic_cq *cq, uint32_t index)
{
	const struct pnic_cqe *cqe = &cq->ring[index & cq->mask];
	/* 1 in the first pass over the ring, 0 in the second, and so on */
	unsigned int phase = (index >> cq->log_size & 1) ? 0 : PNIC_CQE_FLAG_PHASE;
	uint8_t flags = atomic_load_explicit((const _Atomic uint8_t *)&cqe->flags,
					     memory_order_relaxed);

	return (flags & PNIC_CQE_FLAG_PHASE) == phase;
}

/* All WQEs of the queue up to the completed one are done. */
static bool retire(struct pnic_cq *cq, const struct pnic_cqe *cqe)
{
	struct pnic_qp *qp = pnic_find_qp(to_pctx(cq->vcq.cq.context), le32toh(cqe->qpn));
	struct pnic_wq *wq;

	if (unlikely(!qp))
		return false;
	wq = cqe->opcode & PNIC_CQE_RECV ? &qp->rq : &qp->sq;
	atomic_store_explicit(&wq->ci, le32toh(cqe->wqe_index) + 1, memory_order_release);
	return true;
}

const struct pnic_cqe *pnic_take_cqe(struct pnic_cq *cq)
{
	while (cqe_ready(cq, cq->ci)) {
		const struct pnic_cqe *cqe = &cq->ring[cq->ci & cq->mask];

		udma_from_device_barrier();
		cq->ci++;
		if (likely(cqe->opcode != PNIC_CQE_STALE && retire(cq, cqe)))
			return cqe;
	}
	return NULL;
}

static void fill_wc(struct ibv_wc *wc, const struct pnic_cqe *cqe)
{
	wc->wr_id = le64toh(cqe->wr_id);
	wc->status = cqe->status;
	wc->opcode = cqe->opcode;
	wc->vendor_err = cqe->vendor_err;
	wc->byte_len = le32toh(cqe->byte_len);
	wc->imm_data = cqe->imm;
	wc->qp_num = le32toh(cqe->qpn);
	wc->src_qp = le32toh(cqe->src_qp);
	wc->wc_flags = pnic_wc_flags(cqe);
	wc->pkey_index = 0;
	wc->slid = 0;
	wc->sl = 0;
	wc->dlid_path_bits = 0;
}

int pnic_poll_cq(struct ibv_cq *ibcq, int num_entries, struct ibv_wc *wc)
{
	struct pnic_cq *cq = to_pcq(ibcq);
	const struct pnic_cqe *cqe;
	uint32_t before;
	int n;

	pnic_lock(&cq->lock);
	before = cq->ci;
	for (n = 0; n < num_entries; n++) {
		cqe = pnic_take_cqe(cq);
		if (!cqe)
			break;
		fill_wc(&wc[n], cqe);
	}
	if (cq->ci != before)
		pnic_publish_ci(cq->slot, cq->ci);
	pnic_unlock(&cq->lock);
	return n;
}

int pnic_req_notify_cq(struct ibv_cq *ibcq, int solicited_only)
{
	struct pnic_cq *cq = to_pcq(ibcq);
	uint32_t kind = solicited_only ? PNIC_ARM_SOLICITED : PNIC_ARM_ANY;

	pnic_lock(&cq->lock);
	cq->arm_seq++;
	pnic_arm(to_pctx(ibcq->context), cq->slot, cq->ci, cq->arm_seq << PNIC_ARM_SEQ_SHIFT | kind);
	pnic_unlock(&cq->lock);
	return 0;
}

/*
 * Entries can't be taken out of the middle of the ring, whose phase bits depend on their place: they
 * are marked, and skipped when their turn comes.
 */
void pnic_clean_cq(struct pnic_cq *cq, uint32_t qpn)
{
	uint32_t index;

	pnic_lock(&cq->lock);
	for (index = cq->ci; index - cq->ci <= cq->mask && cqe_ready(cq, index); index++) {
		struct pnic_cqe *cqe = &cq->ring[index & cq->mask];

		udma_from_device_barrier();
		if (le32toh(cqe->qpn) == qpn)
			cqe->opcode = PNIC_CQE_STALE;
	}
	pnic_unlock(&cq->lock);
}

static int alloc_cq(struct pnic_context *ctx, struct pnic_cq *cq, uint32_t cqe,
		    struct ibv_comp_channel *channel, int comp_vector)
{
	struct pnic_create_cq_resp resp = {};
	struct pnic_create_cq cmd = {};
	int err;

	if (cqe == 0 || cqe > ctx->max_cqe || cqe > 1u << PNIC_CQ_LOG_MAX)
		return EINVAL;
	cq->log_size = pnic_log2_ceil(cqe);
	cq->mask = (1u << cq->log_size) - 1;
	cq->ring_bytes = align(sizeof(struct pnic_cqe) << cq->log_size, PNIC_PAGE_SIZE);
	cq->ring = pnic_alloc_ring(cq->ring_bytes);
	if (!cq->ring)
		return errno;
	cmd.buf_addr = (uintptr_t)cq->ring;
	cmd.log_size = (uint8_t)cq->log_size;
	err = ibv_cmd_create_cq(&ctx->vctx.context, (int)(cq->mask + 1), channel, comp_vector,
				&cq->vcq.cq, &cmd.ibv_cmd, sizeof(cmd), &resp.ibv_resp,
				sizeof(resp));
	if (err)
		goto err_ring;
	cq->slot = pnic_map_slot(ctx, resp.uar_page, resp.slot);
	if (!cq->slot) {
		err = errno;
		goto err_cq;
	}
	cq->vcq.cq.cqe = (int)(cq->mask + 1);
	return 0;

err_cq:
	/* No event can have been asked for, so nothing waits for one to be acknowledged. */
	ibv_cmd_destroy_cq(&cq->vcq.cq);
err_ring:
	pnic_free_ring(cq->ring, cq->ring_bytes);
	return err;
}

static struct pnic_cq *new_cq(struct ibv_context *context, uint32_t cqe,
			      struct ibv_comp_channel *channel, int comp_vector, bool locked)
{
	struct pnic_cq *cq = calloc(1, sizeof(*cq));
	int err;

	if (!cq)
		return NULL;
	pnic_lock_init(&cq->lock, locked);
	pthread_mutex_init(&cq->vcq.cq.mutex, NULL);
	pthread_cond_init(&cq->vcq.cq.cond, NULL);
	err = alloc_cq(to_pctx(context), cq, cqe, channel, comp_vector);
	if (err) {
		free(cq);
		errno = err;
		return NULL;
	}
	return cq;
}

struct ibv_cq *pnic_create_cq(struct ibv_context *context, int cqe,
			      struct ibv_comp_channel *channel, int comp_vector)
{
	struct pnic_cq *cq;

	if (cqe < 0) {
		errno = EINVAL;
		return NULL;
	}
	cq = new_cq(context, (uint32_t)cqe, channel, comp_vector, true);
	return cq ? &cq->vcq.cq : NULL;
}

struct ibv_cq_ex *pnic_create_cq_ex(struct ibv_context *context, struct ibv_cq_init_attr_ex *attr)
{
	bool locked = true;
	struct pnic_cq *cq;

	if (!check_comp_mask(attr->comp_mask, IBV_CQ_INIT_ATTR_MASK_FLAGS) ||
	    (attr->wc_flags & ~(uint64_t)PNIC_WC_FLAGS)) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	if (attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_FLAGS) {
		if (attr->flags & ~(uint32_t)IBV_CREATE_CQ_ATTR_SINGLE_THREADED) {
			errno = EOPNOTSUPP;
			return NULL;
		}
		locked = !(attr->flags & IBV_CREATE_CQ_ATTR_SINGLE_THREADED);
	}
	cq = new_cq(context, attr->cqe, attr->channel, (int)attr->comp_vector, locked);
	if (!cq)
		return NULL;
	pnic_set_cq_ex_ops(cq, attr->wc_flags);
	return &cq->vcq.cq_ex;
}

int pnic_destroy_cq(struct ibv_cq *ibcq)
{
	struct pnic_cq *cq = to_pcq(ibcq);
	int err = ibv_cmd_destroy_cq(ibcq);

	if (err)
		return err;
	pnic_free_ring(cq->ring, cq->ring_bytes);
	pthread_spin_destroy(&cq->lock.spin);
	free(cq);
	return 0;
}
