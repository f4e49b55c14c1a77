/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects of the provider and what its files offer each other. */
#ifndef PNIC_H
#define PNIC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <infiniband/driver.h>
#include <peermr/pnic_hw.h>

/* QPs by number, in two levels: 24 bits, a block for each 4096 numbers in use. */
#define PNIC_QP_TABLE_SHIFT 12
#define PNIC_QP_TABLE_BLOCKS (1u << (24 - PNIC_QP_TABLE_SHIFT))
#define PNIC_QP_TABLE_ENTRIES (1u << PNIC_QP_TABLE_SHIFT)

struct pnic_qp;

typedef struct pnic_qp *_Atomic pnic_qp_entry;

/* A mapped doorbell page; several objects may have slots in it. */
struct pnic_uar {
	struct pnic_uar *next;
	uint64_t offset; /* of mmap, its name */
	void *page;
};

struct pnic_device {
	struct verbs_device vdev;
};

struct pnic_context {
	struct verbs_context vctx;
	const struct pnic_status_page *status;
	void *kick;
	uint32_t max_inline; /* bytes */
	uint32_t max_sge;
	uint32_t max_qp_wr;
	uint32_t max_cqe;
	/* Protects uars, and changes of qp_table; polls read the table without it. */
	pthread_mutex_t lock;
	struct pnic_uar *uars;
	pnic_qp_entry *_Atomic qp_table[PNIC_QP_TABLE_BLOCKS];
};

struct pnic_pd {
	struct ibv_pd ibv_pd;
	uint32_t pdn;
};

/* A spinlock that can be left out where the consumer promises one thread. */
struct pnic_lock {
	pthread_spinlock_t spin;
	bool needed;
};

struct pnic_cq {
	struct verbs_cq vcq;
	struct pnic_lock lock; /* ring, ci, arm_seq, slot */
	struct pnic_cqe *ring;
	size_t ring_bytes;
	uint32_t log_size;
	uint32_t mask;
	uint32_t ci;	  /* entries ever consumed */
	uint32_t arm_seq; /* changes with every arming */
	struct pnic_cq_slot *slot;
	const struct pnic_cqe *cur; /* between start_poll and end_poll */
};

/* A send or receive queue. */
struct pnic_wq {
	struct pnic_lock lock; /* pi and the WQEs from ci to pi */
	uint8_t *ring;
	uint32_t log_size;
	uint32_t size; /* WQEs */
	uint32_t stride_shift;
	uint32_t max_sge;
	uint32_t pi;	     /* WQEs ever posted */
	_Atomic uint32_t ci; /* WQEs known to be done; written by polls */
};

struct pnic_qp {
	struct verbs_qp vqp;
	struct pnic_wq sq;
	struct pnic_wq rq;
	uint32_t max_inline;
	struct pnic_qp_slot *slot;
	void *rings;
	size_t rings_bytes;
	/* Between wr_start and wr_complete, under sq.lock */
	struct pnic_sq_wqe *wr_cur;
	uint32_t wr_pi;
	int wr_error;
};

static inline struct pnic_context *to_pctx(struct ibv_context *context)
{
	return container_of(context, struct pnic_context, vctx.context);
}

static inline struct pnic_cq *to_pcq(struct ibv_cq *cq)
{
	return container_of(cq, struct pnic_cq, vcq.cq);
}

static inline struct pnic_cq *ex_to_pcq(struct ibv_cq_ex *cq)
{
	return container_of(cq, struct pnic_cq, vcq.cq_ex);
}

static inline struct pnic_qp *to_pqp(struct ibv_qp *qp)
{
	return container_of(qp, struct pnic_qp, vqp.qp);
}

static inline struct pnic_qp *ex_to_pqp(struct ibv_qp_ex *qp)
{
	return container_of(qp, struct pnic_qp, vqp.qp_ex);
}

static inline void pnic_lock_init(struct pnic_lock *lock, bool needed)
{
	pthread_spin_init(&lock->spin, PTHREAD_PROCESS_PRIVATE);
	lock->needed = needed;
}

static inline void pnic_lock(struct pnic_lock *lock)
{
	if (lock->needed)
		pthread_spin_lock(&lock->spin);
}

static inline void pnic_unlock(struct pnic_lock *lock)
{
	if (lock->needed)
		pthread_spin_unlock(&lock->spin);
}

static inline void *pnic_wqe(const struct pnic_wq *wq, uint32_t index)
{
	return wq->ring + ((size_t)(index & (wq->size - 1)) << wq->stride_shift);
}

static inline bool pnic_wq_full(const struct pnic_wq *wq, uint32_t pi)
{
	return pi - atomic_load_explicit(&wq->ci, memory_order_acquire) >= wq->size;
}

/* pnic.c. Rings: whole pages, zeroed, left out of forked children. NULL with errno. */
void *pnic_alloc_ring(size_t bytes);
void pnic_free_ring(void *ring, size_t bytes);
/* The slot's address, mapping its page if need be. NULL with errno. */
void *pnic_map_slot(struct pnic_context *ctx, uint64_t uar_page, uint32_t slot);
/* Smallest shift whose power of two holds n; n > 0. */
uint32_t pnic_log2_ceil(uint32_t n);

/* verbs.c */
int pnic_query_device_ex(struct ibv_context *context, const struct ibv_query_device_ex_input *input,
			 struct ibv_device_attr_ex *attr, size_t attr_size);
int pnic_query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr);
struct ibv_pd *pnic_alloc_pd(struct ibv_context *context);
int pnic_dealloc_pd(struct ibv_pd *pd);
struct ibv_mr *pnic_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t hca_va,
			   int access);
struct ibv_mr *pnic_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
				  int fd, int access);
int pnic_dereg_mr(struct verbs_mr *vmr);

/* cq.c */
struct ibv_cq *pnic_create_cq(struct ibv_context *context, int cqe,
			      struct ibv_comp_channel *channel, int comp_vector);
struct ibv_cq_ex *pnic_create_cq_ex(struct ibv_context *context, struct ibv_cq_init_attr_ex *attr);
int pnic_destroy_cq(struct ibv_cq *cq);
int pnic_poll_cq(struct ibv_cq *cq, int num_entries, struct ibv_wc *wc);
int pnic_req_notify_cq(struct ibv_cq *cq, int solicited_only);
/* The next completion with its WQE retired, or NULL; cq->lock held. */
const struct pnic_cqe *pnic_take_cqe(struct pnic_cq *cq);
/* Forgets completions of a QP that is destroyed or reset; no lock held. */
void pnic_clean_cq(struct pnic_cq *cq, uint32_t qpn);

/* cq_ex.c: the poll operations that wc_flags (IBV_WC_EX_*) ask for. */
#define PNIC_WC_FLAGS (IBV_WC_STANDARD_FLAGS | IBV_WC_EX_WITH_COMPLETION_TIMESTAMP)
void pnic_set_cq_ex_ops(struct pnic_cq *cq, uint64_t wc_flags);
unsigned int pnic_wc_flags(const struct pnic_cqe *cqe);

/* qp.c */
struct ibv_qp *pnic_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
struct ibv_qp *pnic_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr);
int pnic_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int attr_mask);
int pnic_query_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int attr_mask,
		  struct ibv_qp_init_attr *init_attr);
int pnic_destroy_qp(struct ibv_qp *qp);
/* NULL if there is none of that number. */
struct pnic_qp *pnic_find_qp(struct pnic_context *ctx, uint32_t qpn);

/* post.c */
int pnic_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_wr);
int pnic_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr);
/* May sends be posted in the QP's state? */
bool pnic_can_send(const struct pnic_qp *qp);
/* WQE flags of IBV_SEND_* flags, but for INLINE; false if one of them is unknown. */
bool pnic_wqe_flags(unsigned int send_flags, uint8_t *wqe_flags);

/* wr.c: the ibv_wr_* operations that send_ops_flags (IBV_QP_EX_WITH_*) ask for. */
#define PNIC_SEND_OPS                                                                              \
	(IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM | IBV_QP_EX_WITH_RDMA_WRITE |          \
	 IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | IBV_QP_EX_WITH_RDMA_READ)
void pnic_set_wr_ops(struct pnic_qp *qp, uint64_t send_ops_flags);

#endif
