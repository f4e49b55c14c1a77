/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs objects of the driver and the operations on them. */
#ifndef PNIC_VERBS_H
#define PNIC_VERBS_H

#include "pnic.h"

struct dma_buf;

/* ---- page lists (pnic_pages.c) ------------------------------------------------------------- */

struct pnic_pages_block {
	__le64 *entries;
	dma_addr_t dma;
};

/* A page list for one command, and the blocks that it points to until that command is done */
struct pnic_pages {
	struct pnic_page_list list;
	struct pnic_pages_block *blocks;
	unsigned int num_blocks;
};

int pnic_pages_build(struct pnic_dev *dev, struct ib_umem *umem, struct pnic_pages *pages);
void pnic_pages_free(struct pnic_dev *dev, struct pnic_pages *pages);

/* ---- objects ------------------------------------------------------------------------------- */

struct pnic_mmap_entry {
	struct rdma_user_mmap_entry rdma;
	phys_addr_t phys;
};

struct pnic_uar {
	struct list_head node;	/* in its context; the kernel's own UAR is in no list */
	u32 index;		/* page of BAR 2 */
	struct pnic_mmap_entry *mmap;	/* NULL for the kernel's own */
	DECLARE_BITMAP(slots, PNIC_UAR_SLOTS);
};

struct pnic_ucontext {
	struct ib_ucontext ibucontext;
	struct mutex lock;	/* protects uars and the slot bitmaps of those in it */
	struct list_head uars;
	struct file *status;	/* what a mapping of status_page maps */
	struct pnic_mmap_entry *status_page;
	struct pnic_mmap_entry *kick_page;
};

struct pnic_pd {
	struct ib_pd ibpd;
	u32 pdn;
};

struct pnic_cq {
	struct ib_cq ibcq;
	struct pnic_handle handle;
	struct ib_umem *umem;
	struct pnic_slot slot;
	u32 cqn;
};

struct pnic_qp {
	struct ib_qp ibqp;
	struct pnic_handle handle;
	struct ib_umem *sq_umem;
	struct ib_umem *rq_umem;
	struct pnic_slot slot;
	struct ib_qp_cap cap;
	bool sig_all;
	struct mutex lock;	/* protects state, and orders MODIFY_QP */
	enum ib_qp_state state;	/* the last one known; the device may be in ERR already */
};

struct pnic_mr {
	struct ib_mr ibmr;
	struct pnic_handle handle;
	struct pnic_dev *dev;
	struct ib_umem *umem;
	u32 key;
	/* The rest is for dma-bufs only. */
	bool faultable;		/* else dead after the first invalidate */
	struct work_struct map_work;
	bool faulted;		/* the device waits for an answer; from the event to map_work */
	bool valid;		/* mapped, and the device may access it; protected by dma_resv */
	bool closing;		/* to be mapped no more; protected by dma_resv */
	bool dead;		/* the exporter will never let it be mapped; protected by dma_resv */
};

static inline struct pnic_ucontext *to_pnic_ucontext(struct ib_ucontext *ibucontext)
{
	return container_of(ibucontext, struct pnic_ucontext, ibucontext);
}

static inline struct pnic_pd *to_pnic_pd(struct ib_pd *ibpd)
{
	return container_of(ibpd, struct pnic_pd, ibpd);
}

static inline struct pnic_cq *to_pnic_cq(struct ib_cq *ibcq)
{
	return container_of(ibcq, struct pnic_cq, ibcq);
}

static inline struct pnic_qp *to_pnic_qp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct pnic_qp, ibqp);
}

static inline struct pnic_mr *to_pnic_mr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct pnic_mr, ibmr);
}

/* ---- pnic_ib.c ----------------------------------------------------------------------------- */
void pnic_ib_setup(struct pnic_dev *dev);
u32 pnic_access_flags(int ib_access);

/* ---- pnic_uar.c ---------------------------------------------------------------------------- */
struct pnic_uar *pnic_uar_alloc(struct pnic_dev *dev, struct pnic_ucontext *uctx);
void pnic_uar_free(struct pnic_dev *dev, struct pnic_uar *uar);
int pnic_slot_take(struct pnic_dev *dev, struct pnic_uar *uar, struct pnic_slot *slot);
int pnic_slot_alloc(struct pnic_dev *dev, struct pnic_ucontext *uctx, struct pnic_slot *slot);
void pnic_slot_free(struct pnic_ucontext *uctx, struct pnic_slot *slot);
void __iomem *pnic_slot_addr(struct pnic_dev *dev, const struct pnic_slot *slot);
u64 pnic_slot_mmap_offset(const struct pnic_slot *slot);
void pnic_kick(struct pnic_dev *dev);
int pnic_alloc_ucontext(struct ib_ucontext *ibuctx, struct ib_udata *udata);
void pnic_dealloc_ucontext(struct ib_ucontext *ibuctx);
void pnic_disassociate_ucontext(struct ib_ucontext *ibuctx);
int pnic_mmap(struct ib_ucontext *ibuctx, struct vm_area_struct *vma);
void pnic_mmap_free(struct rdma_user_mmap_entry *rdma_entry);

/* ---- pnic_status.c ------------------------------------------------------------------------- */
struct file *pnic_status_create(phys_addr_t phys);
void pnic_status_end(struct file *file);
int pnic_status_mmap(struct file *file, struct vm_area_struct *vma);

/* ---- pnic_cq.c ----------------------------------------------------------------------------- */
int pnic_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		   struct uverbs_attr_bundle *attrs);
int pnic_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata);

/* ---- pnic_qp.c ----------------------------------------------------------------------------- */
int pnic_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *attr, struct ib_udata *udata);
int pnic_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask, struct ib_udata *udata);
int pnic_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		  struct ib_qp_init_attr *init_attr);
int pnic_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata);

/* ---- pnic_mr.c ----------------------------------------------------------------------------- */
int pnic_mr_check(struct pnic_dev *dev, u64 length, u64 iova, int access);
int pnic_mr_create(struct pnic_mr *mr, u32 pdn, u64 iova, int access, u32 flags);
struct ib_mr *pnic_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova, int access,
			       struct ib_dmah *dmah, struct ib_udata *udata);
int pnic_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata);

/* ---- pnic_exporter.c ----------------------------------------------------------------------- */
void pnic_explain_refusal(struct pnic_dev *dev, int fd);
bool pnic_buffer_is_dead(struct dma_buf *dmabuf);

/* ---- pnic_dmabuf.c ------------------------------------------------------------------------- */
struct ib_mr *pnic_reg_user_mr_dmabuf(struct ib_pd *ibpd, u64 offset, u64 length, u64 iova, int fd,
				      int access, struct ib_dmah *dmah,
				      struct uverbs_attr_bundle *attrs);
void pnic_mr_close_dmabuf(struct pnic_mr *mr);
void pnic_mr_fault(struct pnic_dev *dev, u32 key);

#endif
