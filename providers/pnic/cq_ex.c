// SPDX-License-Identifier: BSD-2-Clause
/* The extended poll API: one completion at a time, fields read on demand. */

#include <errno.h>

#include <util/compiler.h>

#include "doorbell.h"
#include "pnic.h"

unsigned int pnic_wc_flags(const struct pnic_cqe *cqe)
{
	unsigned int flags = 0;

	if (cqe->flags & PNIC_CQE_FLAG_IMM)
		flags |= IBV_WC_WITH_IMM;
	if (cqe->flags & PNIC_CQE_FLAG_GRH)
		flags |= IBV_WC_GRH;
	return flags;
}

static int take(struct pnic_cq *cq)
{
	cq->cur = pnic_take_cqe(cq);
	if (!cq->cur)
		return ENOENT;
	cq->vcq.cq_ex.wr_id = le64toh(cq->cur->wr_id);
	cq->vcq.cq_ex.status = cq->cur->status;
	return 0;
}

static void finish(struct pnic_cq *cq)
{
	pnic_publish_ci(cq->slot, cq->ci);
	cq->cur = NULL;
	pnic_unlock(&cq->lock);
}

static int start_poll(struct ibv_cq_ex *ibcq, struct ibv_poll_cq_attr *attr)
{
	struct pnic_cq *cq = ex_to_pcq(ibcq);

	if (unlikely(attr->comp_mask))
		return EINVAL;
	pnic_lock(&cq->lock);
	if (likely(!take(cq)))
		return 0;
	/* A start that finds nothing isn't followed by an end. */
	finish(cq);
	return ENOENT;
}

static int next_poll(struct ibv_cq_ex *ibcq)
{
	return take(ex_to_pcq(ibcq));
}

static void end_poll(struct ibv_cq_ex *ibcq)
{
	finish(ex_to_pcq(ibcq));
}

static enum ibv_wc_opcode read_opcode(struct ibv_cq_ex *ibcq)
{
	return ex_to_pcq(ibcq)->cur->opcode;
}

static uint32_t read_vendor_err(struct ibv_cq_ex *ibcq)
{
	return ex_to_pcq(ibcq)->cur->vendor_err;
}

static unsigned int read_wc_flags(struct ibv_cq_ex *ibcq)
{
	return pnic_wc_flags(ex_to_pcq(ibcq)->cur);
}

static uint32_t read_byte_len(struct ibv_cq_ex *ibcq)
{
	return le32toh(ex_to_pcq(ibcq)->cur->byte_len);
}

static __be32 read_imm_data(struct ibv_cq_ex *ibcq)
{
	return ex_to_pcq(ibcq)->cur->imm;
}

static uint32_t read_qp_num(struct ibv_cq_ex *ibcq)
{
	return le32toh(ex_to_pcq(ibcq)->cur->qpn);
}

static uint32_t read_src_qp(struct ibv_cq_ex *ibcq)
{
	return le32toh(ex_to_pcq(ibcq)->cur->src_qp);
}

static uint64_t read_completion_ts(struct ibv_cq_ex *ibcq)
{
	return le64toh(ex_to_pcq(ibcq)->cur->timestamp_ns);
}

/* A reliable connection has one peer and one path: the device does not repeat them. */
static uint32_t read_slid(struct ibv_cq_ex *ibcq)
{
	(void)ibcq;
	return 0;
}

static uint8_t read_sl(struct ibv_cq_ex *ibcq)
{
	(void)ibcq;
	return 0;
}

static uint8_t read_dlid_path_bits(struct ibv_cq_ex *ibcq)
{
	(void)ibcq;
	return 0;
}

void pnic_set_cq_ex_ops(struct pnic_cq *cq, uint64_t wc_flags)
{
	struct ibv_cq_ex *ex = &cq->vcq.cq_ex;

	ex->start_poll = start_poll;
	ex->next_poll = next_poll;
	ex->end_poll = end_poll;
	ex->read_opcode = read_opcode;
	ex->read_vendor_err = read_vendor_err;
	ex->read_wc_flags = read_wc_flags;
	if (wc_flags & IBV_WC_EX_WITH_BYTE_LEN)
		ex->read_byte_len = read_byte_len;
	if (wc_flags & IBV_WC_EX_WITH_IMM)
		ex->read_imm_data = read_imm_data;
	if (wc_flags & IBV_WC_EX_WITH_QP_NUM)
		ex->read_qp_num = read_qp_num;
	if (wc_flags & IBV_WC_EX_WITH_SRC_QP)
		ex->read_src_qp = read_src_qp;
	if (wc_flags & IBV_WC_EX_WITH_SLID)
		ex->read_slid = read_slid;
	if (wc_flags & IBV_WC_EX_WITH_SL)
		ex->read_sl = read_sl;
	if (wc_flags & IBV_WC_EX_WITH_DLID_PATH_BITS)
		ex->read_dlid_path_bits = read_dlid_path_bits;
	if (wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP)
		ex->read_completion_ts = read_completion_ts;
}
