/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doorbells: slots in shared memory, and the kick for a device that sleeps (docs/nic-spec.md,
 * section 4). No system call, no exit unless the device sleeps.
 */
#ifndef PNIC_DOORBELL_H
#define PNIC_DOORBELL_H

#include <stdatomic.h>

#include <util/compiler.h>
#include <util/mmio.h>
#include <util/udma_barrier.h>

#include "pnic.h"

/*
 * Call after every store to a slot that the device must notice. The full fence orders that store
 * before the load of `armed`: the device stores `armed`, fences and looks at the slots, so one of
 * the two sees the other's store.
 */
static inline void pnic_kick_if_armed(const struct pnic_context *ctx)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (unlikely(mmio_read32(&ctx->status->armed)))
		mmio_write32(ctx->kick, 1);
}

/* @posted: WQEs ever posted; they are ordered before the count. */
static inline void pnic_ring(const struct pnic_context *ctx, __le32 *count, uint32_t posted)
{
	udma_to_device_barrier();
	mmio_write32(count, posted);
	pnic_kick_if_armed(ctx);
}

/* Tells the device how far the CQ has been consumed; it looks when it needs room. */
static inline void pnic_publish_ci(struct pnic_cq_slot *slot, uint32_t ci)
{
	/* The entries have been read before they are given back. */
	atomic_thread_fence(memory_order_release);
	mmio_write32(&slot->ci, ci);
}

/* @arm: a value that differs from the last one in its upper 30 bits. */
static inline void pnic_arm(const struct pnic_context *ctx, struct pnic_cq_slot *slot, uint32_t ci,
			    uint32_t arm)
{
	atomic_thread_fence(memory_order_release);
	mmio_write64(slot, (uint64_t)arm << 32 | ci);
	pnic_kick_if_armed(ctx);
}

#endif
