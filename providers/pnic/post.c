// SPDX-License-Identifier: BSD-2-Clause
/* ibv_post_send and ibv_post_recv: WQEs and a doorbell, no system call. */

#include <errno.h>
#include <string.h>

#include "doorbell.h"
#include "pnic.h"

bool pnic_can_send(const struct pnic_qp *qp)
{
	enum ibv_qp_state state = qp->vqp.qp.state;

	return state == IBV_QPS_RTS || state == IBV_QPS_ERR;
}

bool pnic_wqe_flags(unsigned int send_flags, uint8_t *wqe_flags)
{
	const unsigned int known = IBV_SEND_FENCE | IBV_SEND_SIGNALED | IBV_SEND_SOLICITED |
				   IBV_SEND_INLINE;
	unsigned int flags = 0;

	if (send_flags & ~known)
		return false;
	if (send_flags & IBV_SEND_SIGNALED)
		flags |= PNIC_WQE_SIGNALED;
	if (send_flags & IBV_SEND_SOLICITED)
		flags |= PNIC_WQE_SOLICITED;
	if (send_flags & IBV_SEND_FENCE)
		flags |= PNIC_WQE_FENCE;
	*wqe_flags = (uint8_t)flags;
	return true;
}

static int wqe_opcode(enum ibv_wr_opcode opcode)
{
	switch (opcode) {
	case IBV_WR_SEND:
		return PNIC_WQE_SEND;
	case IBV_WR_SEND_WITH_IMM:
		return PNIC_WQE_SEND_WITH_IMM;
	case IBV_WR_RDMA_WRITE:
		return PNIC_WQE_RDMA_WRITE;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return PNIC_WQE_RDMA_WRITE_WITH_IMM;
	case IBV_WR_RDMA_READ:
		return PNIC_WQE_RDMA_READ;
	default:
		return -1;
	}
}

static void fill_sges(struct pnic_sge *to, const struct ibv_sge *from, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		to[i].addr = htole64(from[i].addr);
		to[i].length = htole32(from[i].length);
		to[i].lkey = htole32(from[i].lkey);
	}
}

static int fill_inline(const struct pnic_qp *qp, struct pnic_sq_wqe *wqe, const struct ibv_sge *sge,
		       int n)
{
	uint8_t *to = (uint8_t *)(wqe + 1);
	uint32_t total = 0;
	int i;

	for (i = 0; i < n; i++) {
		if (sge[i].length > qp->max_inline - total)
			return EINVAL;
		memcpy(to + total, (const void *)(uintptr_t)sge[i].addr, sge[i].length);
		total += sge[i].length;
	}
	wqe->num_sge = 0;
	wqe->inline_len = htole32(total);
	wqe->flags |= PNIC_WQE_INLINE;
	return 0;
}

static int build_send(const struct pnic_qp *qp, struct pnic_sq_wqe *wqe,
		      const struct ibv_send_wr *wr)
{
	int opcode = wqe_opcode(wr->opcode);

	if (opcode < 0 || !pnic_wqe_flags(wr->send_flags, &wqe->flags) || wr->num_sge < 0 ||
	    (uint32_t)wr->num_sge > qp->sq.max_sge)
		return EINVAL;
	wqe->opcode = (uint8_t)opcode;
	wqe->num_sge = (uint8_t)wr->num_sge;
	wqe->reserved = 0;
	wqe->imm = opcode == PNIC_WQE_SEND_WITH_IMM || opcode == PNIC_WQE_RDMA_WRITE_WITH_IMM ?
			   wr->imm_data :
			   0;
	wqe->wr_id = htole64(wr->wr_id);
	wqe->inline_len = 0;
	if (opcode >= PNIC_WQE_RDMA_WRITE) {
		wqe->remote_addr = htole64(wr->wr.rdma.remote_addr);
		wqe->rkey = htole32(wr->wr.rdma.rkey);
	} else {
		wqe->remote_addr = 0;
		wqe->rkey = 0;
	}
	if (wr->send_flags & IBV_SEND_INLINE) {
		if (opcode == PNIC_WQE_RDMA_READ)
			return EINVAL;
		return fill_inline(qp, wqe, wr->sg_list, wr->num_sge);
	}
	fill_sges((struct pnic_sge *)(wqe + 1), wr->sg_list, wr->num_sge);
	return 0;
}

int pnic_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_wr)
{
	struct pnic_qp *qp = to_pqp(ibqp);
	struct pnic_wq *sq = &qp->sq;
	uint32_t pi;
	int err = 0;

	pnic_lock(&sq->lock);
	pi = sq->pi;
	if (!pnic_can_send(qp))
		err = EINVAL;
	for (; wr && !err; wr = wr->next) {
		err = pnic_wq_full(sq, pi) ? ENOMEM : build_send(qp, pnic_wqe(sq, pi), wr);
		if (err)
			break;
		pi++;
	}
	if (err)
		*bad_wr = wr;
	/* What comes before the bad one is posted. */
	if (pi != sq->pi) {
		sq->pi = pi;
		pnic_ring(to_pctx(ibqp->context), &qp->slot->sq_pi, pi);
	}
	pnic_unlock(&sq->lock);
	return err;
}

static int build_recv(const struct pnic_wq *rq, struct pnic_rq_wqe *wqe,
		      const struct ibv_recv_wr *wr)
{
	if (wr->num_sge < 0 || (uint32_t)wr->num_sge > rq->max_sge)
		return EINVAL;
	wqe->wr_id = htole64(wr->wr_id);
	wqe->num_sge = htole32((uint32_t)wr->num_sge);
	wqe->reserved = 0;
	fill_sges((struct pnic_sge *)(wqe + 1), wr->sg_list, wr->num_sge);
	return 0;
}

int pnic_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr)
{
	struct pnic_qp *qp = to_pqp(ibqp);
	struct pnic_wq *rq = &qp->rq;
	uint32_t pi;
	int err = 0;

	pnic_lock(&rq->lock);
	pi = rq->pi;
	if (ibqp->state == IBV_QPS_RESET)
		err = EINVAL;
	for (; wr && !err; wr = wr->next) {
		err = pnic_wq_full(rq, pi) ? ENOMEM : build_recv(rq, pnic_wqe(rq, pi), wr);
		if (err)
			break;
		pi++;
	}
	if (err)
		*bad_wr = wr;
	if (pi != rq->pi) {
		rq->pi = pi;
		pnic_ring(to_pctx(ibqp->context), &qp->slot->rq_pi, pi);
	}
	pnic_unlock(&rq->lock);
	return err;
}
