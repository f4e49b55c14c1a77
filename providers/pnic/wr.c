// SPDX-License-Identifier: BSD-2-Clause
/*
 * The ibv_wr_* API. The SQ's lock is held from wr_start to wr_complete or wr_abort; nothing is visible
 * to the device before wr_complete, which posts all or, after the first error, nothing.
 */

#include <errno.h>
#include <string.h>

#include "doorbell.h"
#include "pnic.h"

static void wr_start(struct ibv_qp_ex *ibqp)
{
	struct pnic_qp *qp = ex_to_pqp(ibqp);

	pnic_lock(&qp->sq.lock);
	qp->wr_pi = qp->sq.pi;
	qp->wr_cur = NULL;
	qp->wr_error = pnic_can_send(qp) ? 0 : EINVAL;
}

static int wr_complete(struct ibv_qp_ex *ibqp)
{
	struct pnic_qp *qp = ex_to_pqp(ibqp);
	int err = qp->wr_error;

	if (!err && qp->wr_pi != qp->sq.pi) {
		qp->sq.pi = qp->wr_pi;
		pnic_ring(to_pctx(ibqp->qp_base.context), &qp->slot->sq_pi, qp->wr_pi);
	}
	pnic_unlock(&qp->sq.lock);
	return err;
}

static void wr_abort(struct ibv_qp_ex *ibqp)
{
	pnic_unlock(&ex_to_pqp(ibqp)->sq.lock);
}

static void fail(struct pnic_qp *qp, int err)
{
	if (!qp->wr_error)
		qp->wr_error = err;
	qp->wr_cur = NULL;
}

/* Begins a WQE; the setters that follow fill it. Without memory or after an error there is none. */
static void begin(struct ibv_qp_ex *ibqp, enum pnic_wqe_opcode opcode, __be32 imm, uint32_t rkey,
		  uint64_t remote_addr)
{
	struct pnic_qp *qp = ex_to_pqp(ibqp);
	struct pnic_sq_wqe *wqe;
	uint8_t flags;

	qp->wr_cur = NULL;
	if (qp->wr_error)
		return;
	if (!pnic_wqe_flags(ibqp->wr_flags, &flags)) {
		fail(qp, EINVAL);
		return;
	}
	if (pnic_wq_full(&qp->sq, qp->wr_pi)) {
		fail(qp, ENOMEM);
		return;
	}
	wqe = pnic_wqe(&qp->sq, qp->wr_pi++);
	wqe->opcode = (uint8_t)opcode;
	wqe->flags = flags;
	wqe->num_sge = 0;
	wqe->reserved = 0;
	wqe->imm = imm;
	wqe->wr_id = htole64(ibqp->wr_id);
	wqe->remote_addr = htole64(remote_addr);
	wqe->rkey = htole32(rkey);
	wqe->inline_len = 0;
	qp->wr_cur = wqe;
}

static void wr_send(struct ibv_qp_ex *ibqp)
{
	begin(ibqp, PNIC_WQE_SEND, 0, 0, 0);
}

static void wr_send_imm(struct ibv_qp_ex *ibqp, __be32 imm_data)
{
	begin(ibqp, PNIC_WQE_SEND_WITH_IMM, imm_data, 0, 0);
}

static void wr_rdma_write(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t remote_addr)
{
	begin(ibqp, PNIC_WQE_RDMA_WRITE, 0, rkey, remote_addr);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t remote_addr,
			      __be32 imm_data)
{
	begin(ibqp, PNIC_WQE_RDMA_WRITE_WITH_IMM, imm_data, rkey, remote_addr);
}

static void wr_rdma_read(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t remote_addr)
{
	begin(ibqp, PNIC_WQE_RDMA_READ, 0, rkey, remote_addr);
}

static void put_sge(struct pnic_sge *sge, uint32_t lkey, uint64_t addr, uint32_t length)
{
	sge->addr = htole64(addr);
	sge->length = htole32(length);
	sge->lkey = htole32(lkey);
}

static void wr_set_sge(struct ibv_qp_ex *ibqp, uint32_t lkey, uint64_t addr, uint32_t length)
{
	struct pnic_sq_wqe *wqe = ex_to_pqp(ibqp)->wr_cur;

	if (!wqe)
		return;
	put_sge((struct pnic_sge *)(wqe + 1), lkey, addr, length);
	wqe->num_sge = 1;
}

static void wr_set_sge_list(struct ibv_qp_ex *ibqp, size_t num_sge, const struct ibv_sge *list)
{
	struct pnic_qp *qp = ex_to_pqp(ibqp);
	struct pnic_sq_wqe *wqe = qp->wr_cur;
	struct pnic_sge *sges;
	size_t i;

	if (!wqe)
		return;
	if (num_sge > qp->sq.max_sge) {
		fail(qp, EINVAL);
		return;
	}
	sges = (struct pnic_sge *)(wqe + 1);
	for (i = 0; i < num_sge; i++)
		put_sge(&sges[i], list[i].lkey, list[i].addr, list[i].length);
	wqe->num_sge = (uint8_t)num_sge;
}

static void wr_set_inline_data_list(struct ibv_qp_ex *ibqp, size_t num_buf,
				    const struct ibv_data_buf *list)
{
	struct pnic_qp *qp = ex_to_pqp(ibqp);
	struct pnic_sq_wqe *wqe = qp->wr_cur;
	uint32_t total = 0;
	size_t i;

	if (!wqe)
		return;
	if (wqe->opcode == PNIC_WQE_RDMA_READ) {
		fail(qp, EINVAL);
		return;
	}
	for (i = 0; i < num_buf; i++) {
		if (list[i].length > qp->max_inline - total) {
			fail(qp, EINVAL);
			return;
		}
		memcpy((uint8_t *)(wqe + 1) + total, list[i].addr, list[i].length);
		total += (uint32_t)list[i].length;
	}
	wqe->inline_len = htole32(total);
	wqe->flags |= PNIC_WQE_INLINE;
}

static void wr_set_inline_data(struct ibv_qp_ex *ibqp, void *addr, size_t length)
{
	const struct ibv_data_buf buf = {.addr = addr, .length = length};

	wr_set_inline_data_list(ibqp, 1, &buf);
}

void pnic_set_wr_ops(struct pnic_qp *qp, uint64_t send_ops_flags)
{
	struct ibv_qp_ex *ex = &qp->vqp.qp_ex;

	ex->wr_start = wr_start;
	ex->wr_complete = wr_complete;
	ex->wr_abort = wr_abort;
	ex->wr_set_sge = wr_set_sge;
	ex->wr_set_sge_list = wr_set_sge_list;
	ex->wr_set_inline_data = wr_set_inline_data;
	ex->wr_set_inline_data_list = wr_set_inline_data_list;
	if (send_ops_flags & IBV_QP_EX_WITH_SEND)
		ex->wr_send = wr_send;
	if (send_ops_flags & IBV_QP_EX_WITH_SEND_WITH_IMM)
		ex->wr_send_imm = wr_send_imm;
	if (send_ops_flags & IBV_QP_EX_WITH_RDMA_WRITE)
		ex->wr_rdma_write = wr_rdma_write;
	if (send_ops_flags & IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM)
		ex->wr_rdma_write_imm = wr_rdma_write_imm;
	if (send_ops_flags & IBV_QP_EX_WITH_RDMA_READ)
		ex->wr_rdma_read = wr_rdma_read;
}
