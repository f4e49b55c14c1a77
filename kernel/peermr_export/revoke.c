// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking memory away and giving it back.
 *
 * A revoke goes through all buffers three times: it tells importers and zaps
 * mmaps; it waits for fences; it waits for unmaps. It takes no lock of a buffer
 * across a wait, so that importers may let go whenever and however they like.
 */

#include <linux/pci.h>
#include <linux/sched/signal.h>

#include "internal.h"

/* How long to wait in silence for importers. */
#define PEERMR_PATIENCE (10 * HZ)

static void peermr_buffer_set_state(struct peermr_buffer *buffer, u32 state)
{
	dma_resv_assert_held(buffer->dmabuf->resv);
	/* Faults that saw the old state have inserted their page after this. */
	down_write(&buffer->fault_lock);
	WRITE_ONCE(buffer->state, state);
	up_write(&buffer->fault_lock);
}

static void peermr_buffer_tell(struct peermr_buffer *buffer)
{
	buffer->invalidates++;
	dma_buf_invalidate_mappings(buffer->dmabuf);
}

void peermr_buffer_block(struct peermr_buffer *buffer, u32 bits)
{
	u32 was;

	dma_resv_lock(buffer->dmabuf->resv, NULL);
	was = buffer->state;
	if ((bits & PEERMR_BUFFER_DEVICE) &&
	    (buffer->flags & PEERMR_EXPORT_MANUAL_REARM))
		bits |= PEERMR_BUFFER_HELD;
	if (!(was & PEERMR_BUFFER_DEAD) && (bits & ~was)) {
		peermr_buffer_set_state(buffer, was | bits);
		buffer->revokes++;
		/* An importer that waits for better times should know of death. */
		if (!was || (bits & PEERMR_BUFFER_DEAD))
			peermr_buffer_tell(buffer);
	}
	dma_resv_unlock(buffer->dmabuf->resv);

	peermr_buffer_zap(buffer);
}

void peermr_buffer_unblock_locked(struct peermr_buffer *buffer, u32 bits)
{
	u32 was = buffer->state;

	if (!(was & bits))
		return;
	peermr_buffer_set_state(buffer, was & ~bits);
	if (!(was & ~bits)) {
		buffer->restores++;
		peermr_buffer_tell(buffer);
	}
}

static void peermr_buffer_unblock(struct peermr_buffer *buffer, u32 bits)
{
	dma_resv_lock(buffer->dmabuf->resv, NULL);
	peermr_buffer_unblock_locked(buffer, bits);
	dma_resv_unlock(buffer->dmabuf->resv);
}

bool peermr_buffer_idle(const struct peermr_buffer *buffer)
{
	return !atomic_read(&buffer->mappings) &&
	       dma_resv_test_signaled(buffer->dmabuf->resv,
				      DMA_RESV_USAGE_BOOKKEEP);
}

static int peermr_buffer_wait_fences(struct peermr_buffer *buffer,
				     bool interruptible)
{
	bool told = false;
	long ret;

	for (;;) {
		ret = dma_resv_wait_timeout(buffer->dmabuf->resv,
					    DMA_RESV_USAGE_BOOKKEEP,
					    interruptible, PEERMR_PATIENCE);
		if (ret)
			return ret < 0 ? -ERESTARTSYS : 0;
		if (!told)
			pr_warn("peermr_export: %s: a revoke waits for fences of importers that do not signal\n",
				buffer->exporter->name);
		told = true;
	}
}

static int peermr_buffer_wait_unmaps(struct peermr_buffer *buffer,
				     bool interruptible)
{
	struct peermr_exporter *exporter = buffer->exporter;
	bool told = false;
	long ret;
	int left;

	while ((left = atomic_read(&buffer->mappings))) {
		if (interruptible)
			ret = wait_event_interruptible_timeout(exporter->drained,
							       !atomic_read(&buffer->mappings),
							       PEERMR_PATIENCE);
		else
			ret = wait_event_timeout(exporter->drained,
						 !atomic_read(&buffer->mappings),
						 PEERMR_PATIENCE);
		if (ret < 0)
			return -ERESTARTSYS;
		if (!ret && !told) {
			pr_warn("peermr_export: %s: a revoke waits for importers that keep %d mappings of a buffer\n",
				exporter->name, left);
			told = true;
		}
	}
	return 0;
}

int peermr_buffer_wait(struct peermr_buffer *buffer, bool interruptible)
{
	int err;

	atomic_inc(&buffer->waiters);
	err = peermr_buffer_wait_fences(buffer, interruptible);
	if (!err)
		err = peermr_buffer_wait_unmaps(buffer, interruptible);
	atomic_dec(&buffer->waiters);
	return err;
}

/*
 * All buffers that can be mapped or be found mapped, with a reference of their
 * files. Those whose last reference is gone can't: importers hold references.
 */
static void peermr_exporter_collect(struct peermr_exporter *exporter,
				    struct list_head *walk)
{
	struct peermr_buffer *buffer;

	lockdep_assert_held(&exporter->transition);
	lockdep_assert_held(&exporter->lock);

	list_for_each_entry(buffer, &exporter->buffers, node)
		if (get_file_active(&buffer->dmabuf->file))
			list_add_tail(&buffer->walk, walk);
}

static void peermr_exporter_let_go(struct list_head *walk)
{
	struct peermr_buffer *buffer, *next;

	list_for_each_entry_safe(buffer, next, walk, walk) {
		list_del(&buffer->walk);
		fput(buffer->dmabuf->file);
	}
}

static int peermr_exporter_wait(struct peermr_exporter *exporter,
				struct list_head *walk, bool interruptible)
{
	struct peermr_buffer *buffer;
	int err = 0;

	WRITE_ONCE(exporter->waiting, true);
	list_for_each_entry(buffer, walk, walk)
		atomic_inc(&buffer->waiters);
	list_for_each_entry(buffer, walk, walk) {
		err = peermr_buffer_wait_fences(buffer, interruptible);
		if (err)
			goto out;
	}
	list_for_each_entry(buffer, walk, walk) {
		err = peermr_buffer_wait_unmaps(buffer, interruptible);
		if (err)
			goto out;
	}
out:
	list_for_each_entry(buffer, walk, walk)
		atomic_dec(&buffer->waiters);
	WRITE_ONCE(exporter->waiting, false);
	return err;
}

static int peermr_exporter_block(struct peermr_exporter *exporter,
				 struct list_head *walk, u32 bits,
				 bool interruptible)
{
	struct peermr_buffer *buffer;
	bool idle = true;

	list_for_each_entry(buffer, walk, walk) {
		peermr_buffer_block(buffer, bits);
		idle = idle && peermr_buffer_idle(buffer);
	}
	if (idle)
		return 0;
	return peermr_exporter_wait(exporter, walk, interruptible);
}

/* Makes buffers mappable, unless a reason holds (again). */
static void peermr_exporter_unblock(struct peermr_exporter *exporter)
{
	struct peermr_buffer *buffer;
	LIST_HEAD(walk);

	mutex_lock(&exporter->lock);
	if (!exporter->reasons) {
		exporter->restores++;
		peermr_exporter_collect(exporter, &walk);
	}
	mutex_unlock(&exporter->lock);

	list_for_each_entry(buffer, &walk, walk)
		peermr_buffer_unblock(buffer, PEERMR_BUFFER_DEVICE);
	peermr_exporter_let_go(&walk);
}

int peermr_exporter_revoke(struct peermr_exporter *exporter, u32 reason,
			   bool interruptible)
{
	LIST_HEAD(walk);
	int err;

	if (!interruptible)
		mutex_lock(&exporter->transition);
	else if (mutex_lock_interruptible(&exporter->transition))
		return -ERESTARTSYS;

	mutex_lock(&exporter->lock);
	/* If there was a reason before, nothing is mapped. */
	if (!exporter->reasons) {
		exporter->revokes++;
		peermr_exporter_collect(exporter, &walk);
	}
	exporter->reasons |= reason;
	mutex_unlock(&exporter->lock);

	err = peermr_exporter_block(exporter, &walk, PEERMR_BUFFER_DEVICE,
				    interruptible);
	peermr_exporter_let_go(&walk);
	if (err) {
		mutex_lock(&exporter->lock);
		exporter->reasons &= ~reason;
		/* Before importers are told: they may map at once. */
		if (reason & PEERMR_WHY_PRIVATE)
			WRITE_ONCE(exporter->is_private, false);
		mutex_unlock(&exporter->lock);
		peermr_exporter_unblock(exporter);
	}
	mutex_unlock(&exporter->transition);
	return err;
}
EXPORT_SYMBOL_GPL(peermr_exporter_revoke);

void peermr_exporter_restore(struct peermr_exporter *exporter, u32 reason)
{
	bool last;

	mutex_lock(&exporter->lock);
	last = exporter->reasons && !(exporter->reasons & ~reason);
	exporter->reasons &= ~reason;
	mutex_unlock(&exporter->lock);
	/* With a reason left, this need not wait for one who is revoking. */
	if (!last)
		return;

	mutex_lock(&exporter->transition);
	peermr_exporter_unblock(exporter);
	mutex_unlock(&exporter->transition);
}
EXPORT_SYMBOL_GPL(peermr_exporter_restore);

void peermr_exporter_close(struct peermr_exporter *exporter)
{
	LIST_HEAD(walk);

	mutex_lock(&exporter->transition);
	mutex_lock(&exporter->lock);
	exporter->open = false;
	peermr_exporter_collect(exporter, &walk);
	mutex_unlock(&exporter->lock);

	peermr_exporter_block(exporter, &walk, PEERMR_BUFFER_DEAD, false);
	peermr_exporter_let_go(&walk);

	mutex_lock(&exporter->lock);
	exporter->reasons &= ~PEERMR_WHY_OF_OWNER;
	exporter->claimed = 0;
	exporter->combining = 0;
	exporter->mmapped = false;
	exporter->is_private = false;
	exporter->kvm = NULL;
	mutex_unlock(&exporter->lock);
	mutex_unlock(&exporter->transition);
}
EXPORT_SYMBOL_GPL(peermr_exporter_close);
