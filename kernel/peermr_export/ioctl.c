// SPDX-License-Identifier: GPL-2.0-only
/*
 * What users ask for: structures from user memory, and their checks.
 */

#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

int peermr_export_copy_in(void *to, size_t size, size_t least,
			  const void __user *from, size_t argsz)
{
	u32 user_size;

	if (argsz < sizeof(user_size))
		return -EINVAL;
	if (get_user(user_size, (const u32 __user *)from))
		return -EFAULT;
	if (user_size < least || user_size > argsz)
		return -EINVAL;
	return copy_struct_from_user(to, size, from, user_size);
}
EXPORT_SYMBOL_GPL(peermr_export_copy_in);

/* The first member, size, is what the user said. */
static int peermr_copy_out(void __user *to, const void *from, size_t size)
{
	u32 user_size = *(const u32 *)from;

	return copy_to_user(to, from, min_t(size_t, size, user_size)) ? -EFAULT :
									0;
}

/* Most buffers have one range; those of few need no allocation here. */
#define PEERMR_FEW_RANGES 4

int peermr_exporter_create_buffer(struct peermr_exporter *exporter,
				  const struct peermr_export_create *create)
{
	struct peermr_export_range few[PEERMR_FEW_RANGES];
	struct peermr_export_range *ranges = few;
	const void __user *from = u64_to_user_ptr(create->ranges);
	int ret;

	if (create->reserved || !create->nr_ranges)
		return -EINVAL;
	if (create->nr_ranges > PEERMR_EXPORT_MAX_RANGES)
		return -E2BIG;
	if (create->nr_ranges <= PEERMR_FEW_RANGES) {
		if (copy_from_user(few, from,
				   create->nr_ranges * sizeof(*ranges)))
			return -EFAULT;
	} else {
		ranges = vmemdup_array_user(from, create->nr_ranges,
					    sizeof(*ranges));
		if (IS_ERR(ranges))
			return PTR_ERR(ranges);
	}
	ret = peermr_buffer_export(exporter, create->bar, create->flags,
				   create->open_flags, ranges,
				   create->nr_ranges);
	if (ranges != few)
		kvfree(ranges);
	return ret;
}
EXPORT_SYMBOL_GPL(peermr_exporter_create_buffer);

int peermr_exporter_ioc_create(struct peermr_exporter *exporter,
			       void __user *arg, size_t argsz)
{
	struct peermr_export_create create;
	int err;

	err = peermr_export_copy_in(&create, sizeof(create), sizeof(create),
				    arg, argsz);
	return err ?: peermr_exporter_create_buffer(exporter, &create);
}
EXPORT_SYMBOL_GPL(peermr_exporter_ioc_create);

/* The exporter's buffer behind a descriptor, with a reference of its dma-buf. */
static struct peermr_buffer *peermr_buffer_get(struct peermr_exporter *exporter,
					       int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct peermr_buffer *buffer;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	buffer = peermr_buffer_of(dmabuf);
	if (!buffer || buffer->exporter != exporter) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-EINVAL);
	}
	return buffer;
}

static void peermr_buffer_put(struct peermr_buffer *buffer)
{
	dma_buf_put(buffer->dmabuf);
}

static bool peermr_exporter_is_open(struct peermr_exporter *exporter)
{
	return READ_ONCE(exporter->open);
}

static int peermr_buffer_revoke(struct peermr_buffer *buffer)
{
	bool was_dead = (READ_ONCE(buffer->state) & PEERMR_BUFFER_DEAD) &&
			peermr_buffer_idle(buffer);

	/*
	 * One that was dead is zapped and waited for too: who killed it may not
	 * have come so far yet. A signal doesn't restart the call, which would
	 * find the buffer dead.
	 */
	peermr_buffer_block(buffer, PEERMR_BUFFER_DEAD);
	if (peermr_buffer_wait(buffer, true))
		return -EINTR;
	return was_dead ? -EBADFD : 0;
}

int peermr_exporter_ioc_revoke(struct peermr_exporter *exporter,
			       void __user *arg, size_t argsz)
{
	struct peermr_export_revoke revoke;
	struct peermr_buffer *buffer;
	int err;

	err = peermr_export_copy_in(&revoke, sizeof(revoke), sizeof(revoke),
				    arg, argsz);
	if (err)
		return err;
	if (revoke.flags || revoke.reserved)
		return -EINVAL;
	buffer = peermr_buffer_get(exporter, revoke.dmabuf_fd);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	err = peermr_exporter_is_open(exporter) ? peermr_buffer_revoke(buffer) :
						  -ENODEV;
	peermr_buffer_put(buffer);
	return err;
}
EXPORT_SYMBOL_GPL(peermr_exporter_ioc_revoke);

static int peermr_buffer_rearm(struct peermr_buffer *buffer, u32 flags,
			       u64 revokes)
{
	int err = dma_resv_lock_interruptible(buffer->dmabuf->resv, NULL);

	if (err)
		return -ERESTARTSYS;
	if (buffer->state & PEERMR_BUFFER_DEAD)
		err = -EBADFD;
	else if (flags & PEERMR_REARM_MODE_ONLY)
		err = 0;
	else if (buffer->state & PEERMR_BUFFER_DEVICE)
		err = -EAGAIN;
	else if (buffer->revokes != revokes)
		err = -ESTALE;
	else
		peermr_buffer_unblock_locked(buffer, PEERMR_BUFFER_HELD);
	if (!err && (flags & PEERMR_REARM_MANUAL))
		buffer->flags |= PEERMR_EXPORT_MANUAL_REARM;
	if (!err && (flags & PEERMR_REARM_AUTOMATIC))
		buffer->flags &= ~PEERMR_EXPORT_MANUAL_REARM;
	dma_resv_unlock(buffer->dmabuf->resv);
	return err;
}

int peermr_exporter_ioc_rearm(struct peermr_exporter *exporter,
			      void __user *arg, size_t argsz)
{
	const u32 modes = PEERMR_REARM_MANUAL | PEERMR_REARM_AUTOMATIC;
	struct peermr_export_rearm rearm;
	struct peermr_buffer *buffer;
	int err;

	err = peermr_export_copy_in(&rearm, sizeof(rearm), sizeof(rearm),
				    arg, argsz);
	if (err)
		return err;
	if ((rearm.flags & ~(modes | PEERMR_REARM_MODE_ONLY)) ||
	    (rearm.flags & modes) == modes || rearm.reserved)
		return -EINVAL;
	buffer = peermr_buffer_get(exporter, rearm.dmabuf_fd);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	err = peermr_exporter_is_open(exporter) ?
		      peermr_buffer_rearm(buffer, rearm.flags, rearm.revokes) :
		      -ENODEV;
	peermr_buffer_put(buffer);
	return err;
}
EXPORT_SYMBOL_GPL(peermr_exporter_ioc_rearm);

static int peermr_buffer_query(struct peermr_buffer *buffer,
			       struct peermr_export_query *query)
{
	if (dma_resv_lock_interruptible(buffer->dmabuf->resv, NULL))
		return -ERESTARTSYS;
	query->flags = buffer->flags;
	query->state = peermr_buffer_state(buffer);
	query->bytes = buffer->size;
	query->revokes = buffer->revokes;
	query->restores = buffer->restores;
	query->invalidates = buffer->invalidates;
	query->mappings = atomic_read(&buffer->mappings);
	query->mapped = buffer->mapped;
	query->faults = atomic64_read(&buffer->faults);
	query->nr_ranges = buffer->nr_ranges;
	query->bar = buffer->bar;
	query->read_only = buffer->read_only;
	query->cache = buffer->flags & PEERMR_EXPORT_WRITE_COMBINE ?
			       PEERMR_EXPORT_COMBINING :
			       PEERMR_EXPORT_UNCACHED;
	query->waiting = atomic_read(&buffer->waiters) &&
			 !peermr_buffer_idle(buffer);
	query->private_memory = READ_ONCE(buffer->exporter->is_private);
	dma_resv_unlock(buffer->dmabuf->resv);
	return 0;
}

int peermr_exporter_ioc_query(struct peermr_exporter *exporter,
			      void __user *arg, size_t argsz)
{
	struct peermr_export_query query;
	struct peermr_export_query out = {};
	struct peermr_buffer *buffer;
	int err;

	err = peermr_export_copy_in(&query, sizeof(query), sizeof(query),
				    arg, argsz);
	if (err)
		return err;
	if (query.flags || query.reserved)
		return -EINVAL;
	buffer = peermr_buffer_get(exporter, query.dmabuf_fd);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	out.size = query.size;
	out.dmabuf_fd = query.dmabuf_fd;
	err = peermr_exporter_is_open(exporter) ?
		      peermr_buffer_query(buffer, &out) : -ENODEV;
	peermr_buffer_put(buffer);
	return err ?: peermr_copy_out(arg, &out, sizeof(out));
}
EXPORT_SYMBOL_GPL(peermr_exporter_ioc_query);

int peermr_exporter_ioc_info(struct peermr_exporter *exporter,
			     void __user *arg, size_t argsz)
{
	struct peermr_export_info info;
	struct peermr_export_info out = {};
	int err;

	err = peermr_export_copy_in(&info, sizeof(info), sizeof(info),
				    arg, argsz);
	if (err)
		return err;
	if (info.flags || info.reserved)
		return -EINVAL;

	mutex_lock(&exporter->lock);
	out.size = info.size;
	out.flags = PEERMR_EXPORT_FLAGS | exporter->offered;
	if (!exporter->combining)
		out.flags &= ~PEERMR_EXPORT_WRITE_COMBINE;
	out.why = exporter->reasons;
	out.combining_bars = exporter->combining;
	out.revokes = exporter->revokes;
	out.restores = exporter->restores;
	out.late_revokes = exporter->late_revokes;
	out.buffers = exporter->nr_buffers;
	out.waiting = READ_ONCE(exporter->waiting);
	out.private_memory = exporter->is_private;
	mutex_unlock(&exporter->lock);
	return peermr_copy_out(arg, &out, sizeof(out));
}
EXPORT_SYMBOL_GPL(peermr_exporter_ioc_info);
