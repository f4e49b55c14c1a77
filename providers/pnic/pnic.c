// SPDX-License-Identifier: BSD-2-Clause
/* Driver registration, contexts, and the memory that objects share with the device. */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pnic.h"
#include "pnic_abi.h"

static void free_context(struct ibv_context *context);

static const struct verbs_context_ops pnic_context_ops = {
	.alloc_pd = pnic_alloc_pd,
	.create_cq = pnic_create_cq,
	.create_cq_ex = pnic_create_cq_ex,
	.create_qp = pnic_create_qp,
	.create_qp_ex = pnic_create_qp_ex,
	.dealloc_pd = pnic_dealloc_pd,
	.dereg_mr = pnic_dereg_mr,
	.destroy_cq = pnic_destroy_cq,
	.destroy_qp = pnic_destroy_qp,
	.free_context = free_context,
	.modify_qp = pnic_modify_qp,
	.poll_cq = pnic_poll_cq,
	.post_recv = pnic_post_recv,
	.post_send = pnic_post_send,
	.query_device_ex = pnic_query_device_ex,
	.query_port = pnic_query_port,
	.query_qp = pnic_query_qp,
	.reg_dmabuf_mr = pnic_reg_dmabuf_mr,
	.reg_mr = pnic_reg_mr,
	.req_notify_cq = pnic_req_notify_cq,
};

uint32_t pnic_log2_ceil(uint32_t n)
{
	return n <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(n - 1);
}

void *pnic_alloc_ring(size_t bytes)
{
	void *ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ring == MAP_FAILED)
		return NULL;
	/* The device writes to these pages: a child's copy on write must not take them away. */
	if (ibv_dontfork_range(ring, bytes)) {
		munmap(ring, bytes);
		return NULL;
	}
	return ring;
}

void pnic_free_ring(void *ring, size_t bytes)
{
	ibv_dofork_range(ring, bytes);
	munmap(ring, bytes);
}

static void *map_page(struct ibv_context *context, uint64_t offset, int prot)
{
	void *page;

	if (offset > INT64_MAX) {
		errno = EINVAL;
		return NULL;
	}
	page = mmap(NULL, PNIC_PAGE_SIZE, prot, MAP_SHARED, context->cmd_fd, (off_t)offset);
	return page == MAP_FAILED ? NULL : page;
}

static void *map_uar_locked(struct pnic_context *ctx, uint64_t offset)
{
	struct pnic_uar *uar;

	for (uar = ctx->uars; uar; uar = uar->next)
		if (uar->offset == offset)
			return uar->page;
	uar = calloc(1, sizeof(*uar));
	if (!uar)
		return NULL;
	uar->page = map_page(&ctx->vctx.context, offset, PROT_READ | PROT_WRITE);
	if (!uar->page) {
		free(uar);
		return NULL;
	}
	uar->offset = offset;
	uar->next = ctx->uars;
	ctx->uars = uar;
	return uar->page;
}

void *pnic_map_slot(struct pnic_context *ctx, uint64_t uar_page, uint32_t slot)
{
	uint8_t *page;

	if (slot >= PNIC_UAR_SLOTS) {
		errno = EPROTO;
		return NULL;
	}
	pthread_mutex_lock(&ctx->lock);
	page = map_uar_locked(ctx, uar_page);
	pthread_mutex_unlock(&ctx->lock);
	return page ? page + slot * PNIC_UAR_SLOT_SIZE : NULL;
}

static void unmap_pages(struct pnic_context *ctx)
{
	while (ctx->uars) {
		struct pnic_uar *uar = ctx->uars;

		ctx->uars = uar->next;
		munmap(uar->page, PNIC_PAGE_SIZE);
		free(uar);
	}
	if (ctx->status)
		munmap((void *)(uintptr_t)ctx->status, PNIC_PAGE_SIZE);
	if (ctx->kick)
		munmap(ctx->kick, PNIC_PAGE_SIZE);
}

static int ask_context(struct pnic_context *ctx, struct pnic_alloc_ucontext *cmd,
		       struct pnic_alloc_ucontext_resp *resp)
{
#ifdef PNIC_RDMA_CORE_CONTEXT_FDS
	return ibv_cmd_get_context(&ctx->vctx, &cmd->ibv_cmd, sizeof(*cmd), NULL, &resp->ibv_resp,
				   sizeof(*resp));
#else
	return ibv_cmd_get_context(&ctx->vctx, &cmd->ibv_cmd, sizeof(*cmd), &resp->ibv_resp,
				   sizeof(*resp));
#endif
}

static int get_context(struct pnic_context *ctx)
{
	struct ibv_context *context = &ctx->vctx.context;
	struct pnic_alloc_ucontext_resp resp = {};
	struct pnic_alloc_ucontext cmd = {};
	int err;

	err = ask_context(ctx, &cmd, &resp);
	if (err)
		return err;
	ctx->max_inline = resp.max_inline;
	ctx->max_sge = resp.max_sge;
	ctx->max_qp_wr = resp.max_qp_wr;
	ctx->max_cqe = resp.max_cqe;
	ctx->status = map_page(context, resp.status_page, PROT_READ);
	if (!ctx->status)
		return errno;
	ctx->kick = map_page(context, resp.kick_page, PROT_WRITE);
	return ctx->kick ? 0 : errno;
}

static struct verbs_context *alloc_context(struct ibv_device *device, int cmd_fd,
					   void *private_data)
{
	struct pnic_context *ctx;
	int err;

	(void)private_data;
	ctx = verbs_init_and_alloc_context(device, cmd_fd, ctx, vctx, RDMA_DRIVER_UNKNOWN);
	if (!ctx)
		return NULL;
	err = get_context(ctx);
	if (err) {
		verbs_err(&ctx->vctx, "get context: error %d\n", err);
		unmap_pages(ctx);
		verbs_uninit_context(&ctx->vctx);
		free(ctx);
		errno = err;
		return NULL;
	}
	pthread_mutex_init(&ctx->lock, NULL);
	verbs_set_ops(&ctx->vctx, &pnic_context_ops);
	return &ctx->vctx;
}

static void free_context(struct ibv_context *context)
{
	struct pnic_context *ctx = to_pctx(context);
	unsigned int i;

	unmap_pages(ctx);
	for (i = 0; i < PNIC_QP_TABLE_BLOCKS; i++)
		free((void *)atomic_load_explicit(&ctx->qp_table[i], memory_order_relaxed));
	pthread_mutex_destroy(&ctx->lock);
	verbs_uninit_context(&ctx->vctx);
	free(ctx);
}

static struct verbs_device *alloc_device(struct verbs_sysfs_dev *sysfs_dev)
{
	struct pnic_device *dev = calloc(1, sizeof(*dev));

	(void)sysfs_dev;
	return dev ? &dev->vdev : NULL;
}

static void uninit_device(struct verbs_device *vdev)
{
	free(container_of(vdev, struct pnic_device, vdev));
}

/* An out-of-tree kernel driver has no RDMA_DRIVER_ID: the PCI identity tells. */
static const struct verbs_match_ent pnic_match_table[] = {
	VERBS_PCI_MATCH(PNIC_PCI_VENDOR_ID, PNIC_PCI_DEVICE_ID, NULL),
	{},
};

static const struct verbs_device_ops pnic_device_ops = {
	.name = "pnic",
	.match_min_abi_version = PNIC_ABI_VERSION,
	.match_max_abi_version = PNIC_ABI_VERSION,
	.match_table = pnic_match_table,
	.alloc_device = alloc_device,
	.uninit_device = uninit_device,
	.alloc_context = alloc_context,
};
PROVIDER_DRIVER(pnic, pnic_device_ops);
