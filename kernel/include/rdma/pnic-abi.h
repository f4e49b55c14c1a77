/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * What kernel/pnic and providers/pnic say to each other through uverbs: the driver-private tails of
 * the verbs' requests and responses. Sizes are multiples of 8; reserved fields are zero, and the
 * kernel refuses a request (EINVAL) whose reserved fields are not.
 */
#ifndef PEERMR_RDMA_PNIC_ABI_H
#define PEERMR_RDMA_PNIC_ABI_H

#include <linux/types.h>

#define PNIC_ABI_VERSION	1

/*
 * mmap: every offset below is for one page of the uverbs fd, MAP_SHARED.
 * status page: read-only. kick page: write-only by use. UAR pages: read-write.
 */
struct pnic_ib_alloc_ucontext_resp {
	__aligned_u64 features;		/* PNIC_FEATURE_* */
	__aligned_u64 status_page;	/* mmap offset */
	__aligned_u64 kick_page;	/* mmap offset */
	__u32 max_inline;		/* bytes */
	__u32 max_sge;
	__u32 max_qp_wr;
	__u32 max_cqe;
};

struct pnic_ib_alloc_pd_resp {
	__u32 pdn;
	__u32 reserved;
};

/* Rings: page-aligned user memory, 1 << log_size entries, kept until the object is destroyed */
struct pnic_ib_create_cq {
	__aligned_u64 buf_addr;
	__u8 log_size;
	__u8 reserved[7];
};

struct pnic_ib_create_cq_resp {
	__aligned_u64 uar_page;		/* mmap offset */
	__u32 cqn;
	__u32 slot;			/* index of the CQ's slot in that page */
};

struct pnic_ib_create_qp {
	__aligned_u64 sq_addr;
	__aligned_u64 rq_addr;
	__u8 sq_log_size;
	__u8 sq_stride_shift;
	__u8 rq_log_size;
	__u8 rq_stride_shift;
	__u32 reserved;
};

struct pnic_ib_create_qp_resp {
	__aligned_u64 uar_page;		/* mmap offset; several objects may share one */
	__u32 qpn;
	__u32 slot;
};

#endif
