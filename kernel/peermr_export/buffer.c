// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer: how it is made out of ranges of a BAR, attached, mapped, released.
 */

#include <linux/fcntl.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>

#include "internal.h"

#define PEERMR_OPEN_FLAGS (O_ACCMODE | O_CLOEXEC | O_NONBLOCK)

static int peermr_dmabuf_attach(struct dma_buf *dmabuf,
				struct dma_buf_attachment *attach)
{
	struct peermr_buffer *buffer = dmabuf->priv;

	if (!attach->peer2peer || !dma_buf_attach_revocable(attach))
		return -EOPNOTSUPP;
	/* One that is merely revoked may be attached: mapping will tell. */
	if (READ_ONCE(buffer->state) & PEERMR_BUFFER_DEAD)
		return -ENODEV;
	return 0;
}

static struct sg_table *peermr_dmabuf_map(struct dma_buf_attachment *attach,
					  enum dma_data_direction dir)
{
	struct peermr_buffer *buffer = attach->dmabuf->priv;
	struct sg_table *sgt;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (buffer->state & PEERMR_BUFFER_DEAD)
		return ERR_PTR(-ENODEV);
	if (READ_ONCE(buffer->exporter->is_private))
		return ERR_PTR(-EPERM);
	if (buffer->state)
		return ERR_PTR(-ENODEV);
	if (buffer->read_only && dir != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);

	sgt = peermr_buffer_map_sgt(buffer, attach, dir);
	if (IS_ERR(sgt))
		return sgt;
	buffer->mapped++;
	atomic_inc(&buffer->mappings);
	return sgt;
}

static void peermr_dmabuf_unmap(struct dma_buf_attachment *attach,
				struct sg_table *sgt,
				enum dma_data_direction dir)
{
	struct peermr_buffer *buffer = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	peermr_buffer_unmap_sgt(buffer, attach, sgt, dir);
	if (atomic_dec_and_test(&buffer->mappings))
		wake_up_all(&buffer->exporter->drained);
}

static void peermr_dmabuf_release(struct dma_buf *dmabuf)
{
	struct peermr_buffer *buffer = dmabuf->priv;
	struct peermr_exporter *exporter = buffer->exporter;

	mutex_lock(&exporter->lock);
	if (!list_empty(&buffer->node)) {
		list_del(&buffer->node);
		exporter->nr_buffers--;
	}
	mutex_unlock(&exporter->lock);
	kvfree(buffer);
	peermr_exporter_unref(exporter);
}

static const struct dma_buf_ops peermr_dmabuf_ops = {
	.attach = peermr_dmabuf_attach,
	.map_dma_buf = peermr_dmabuf_map,
	.unmap_dma_buf = peermr_dmabuf_unmap,
	.mmap = peermr_buffer_mmap,
	.release = peermr_dmabuf_release,
};

struct peermr_buffer *peermr_buffer_of(struct dma_buf *dmabuf)
{
	return dmabuf->ops == &peermr_dmabuf_ops ? dmabuf->priv : NULL;
}

enum peermr_export_state peermr_buffer_state(const struct peermr_buffer *buffer)
{
	u32 state = READ_ONCE(buffer->state);

	if (state & PEERMR_BUFFER_DEAD)
		return PEERMR_EXPORT_DEAD;
	if (state & PEERMR_BUFFER_DEVICE)
		return PEERMR_EXPORT_REVOKED;
	if (state & PEERMR_BUFFER_HELD)
		return PEERMR_EXPORT_HELD;
	return PEERMR_EXPORT_LIVE;
}

/*
 * Checks the ranges against the BAR, and joins those that follow one another.
 * Errors come in the order in which mainline's exporter finds them.
 */
static int peermr_buffer_set_ranges(struct peermr_buffer *buffer,
				    struct pci_dev *pdev,
				    const struct peermr_export_range *ranges,
				    u32 nr_ranges)
{
	u64 start = pci_resource_start(pdev, buffer->bar);
	u64 bar_end = start + pci_resource_len(pdev, buffer->bar);
	struct peermr_range *last = NULL;
	u64 size = 0;
	u32 i;

	for (i = 0; i < nr_ranges; i++)
		if (!ranges[i].length || !PAGE_ALIGNED(ranges[i].offset) ||
		    !PAGE_ALIGNED(ranges[i].length))
			return -EINVAL;

	for (i = 0; i < nr_ranges; i++) {
		u64 first, end;

		if (check_add_overflow(start, ranges[i].offset, &first) ||
		    check_add_overflow(first, ranges[i].length, &end))
			return -EOVERFLOW;
		if (end > bar_end || !PAGE_ALIGNED(first))
			return -EINVAL;
		if (last && last->phys.paddr + last->phys.len == first) {
			last->phys.len += ranges[i].length;
		} else {
			last = &buffer->ranges[buffer->nr_ranges++];
			last->phys.paddr = first;
			last->phys.len = ranges[i].length;
			last->first_page = size >> PAGE_SHIFT;
		}
		if (check_add_overflow(size, ranges[i].length, &size))
			return -EOVERFLOW;
	}
	/* The DMA API keeps the topmost bit of a length for itself. */
	if (size > LLONG_MAX)
		return -EINVAL;
	buffer->size = size;
	return 0;
}

static int peermr_check_request(u32 bar, u32 flags, u32 open_flags,
				u32 nr_ranges)
{
	u32 mode = open_flags & O_ACCMODE;

	if (flags & ~PEERMR_EXPORT_FLAGS)
		return -EINVAL;
	if (open_flags & ~PEERMR_OPEN_FLAGS)
		return -EINVAL;
	if (mode != O_RDONLY && mode != O_RDWR)
		return -EINVAL;
	if (!nr_ranges)
		return -EINVAL;
	if (nr_ranges > PEERMR_EXPORT_MAX_RANGES)
		return -E2BIG;
	return bar < PCI_STD_NUM_BARS ? 0 : -ENODEV;
}

static struct peermr_buffer *
peermr_buffer_create(struct pci_dev *pdev, u32 bar, u32 flags, u32 open_flags,
		     const struct peermr_export_range *ranges, u32 nr_ranges)
{
	struct peermr_buffer *buffer;
	int err;

	/* One allocation: buffers are made in thousands, most of one range. */
	buffer = kvzalloc(struct_size(buffer, ranges, nr_ranges),
			  GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return ERR_PTR(-ENOMEM);
	buffer->bar = bar;
	buffer->flags = flags;
	buffer->read_only = (open_flags & O_ACCMODE) == O_RDONLY;
	init_rwsem(&buffer->fault_lock);
	INIT_LIST_HEAD(&buffer->node);
	err = peermr_buffer_set_ranges(buffer, pdev, ranges, nr_ranges);
	if (err)
		goto err_free;
	/* None for a BAR of I/O ports. */
	buffer->provider = pcim_p2pdma_provider(pdev, bar);
	if (!buffer->provider) {
		err = -EINVAL;
		goto err_free;
	}
	return buffer;

err_free:
	kvfree(buffer);
	return ERR_PTR(err);
}

/* Puts the buffer on the list, in the state that the device is in. */
static int peermr_exporter_add(struct peermr_exporter *exporter,
			       struct peermr_buffer *buffer)
{
	bool combine = buffer->flags & PEERMR_EXPORT_WRITE_COMBINE;
	int err = 0;

	mutex_lock(&exporter->lock);
	if (!exporter->open || (exporter->reasons & PEERMR_WHY_REMOVED)) {
		err = -ENODEV;
	} else if (!(exporter->claimed & BIT(buffer->bar))) {
		err = -ENODEV;
	} else if (combine && !(exporter->combining & BIT(buffer->bar))) {
		err = -EOPNOTSUPP;
	} else if (exporter->is_private &&
		   !(buffer->flags & PEERMR_EXPORT_NO_MMAP)) {
		err = -EPERM;
	} else {
		if (exporter->reasons) {
			buffer->state = PEERMR_BUFFER_DEVICE;
			if (buffer->flags & PEERMR_EXPORT_MANUAL_REARM)
				buffer->state |= PEERMR_BUFFER_HELD;
			buffer->revokes = 1;
		}
		list_add_tail(&buffer->node, &exporter->buffers);
		exporter->nr_buffers++;
	}
	mutex_unlock(&exporter->lock);
	return err;
}

int peermr_buffer_export(struct peermr_exporter *exporter, u32 bar, u32 flags,
			 u32 open_flags,
			 const struct peermr_export_range *ranges, u32 nr_ranges)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct peermr_buffer *buffer;
	struct dma_buf *dmabuf;
	int ret;

	ret = peermr_check_request(bar, flags, open_flags, nr_ranges);
	if (ret)
		return ret;
	if (!(READ_ONCE(exporter->claimed) & BIT(bar)))
		return -ENODEV;
	buffer = peermr_buffer_create(exporter->pdev, bar, flags, open_flags,
				      ranges, nr_ranges);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	buffer->exporter = peermr_exporter_get(exporter);
	info.ops = &peermr_dmabuf_ops;
	info.size = buffer->size;
	info.flags = open_flags;
	info.priv = buffer;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		kvfree(buffer);
		peermr_exporter_unref(exporter);
		return PTR_ERR(dmabuf);
	}
	/* From here on the dma-buf's release frees the buffer. */
	buffer->dmabuf = dmabuf;
	ret = peermr_exporter_add(exporter, buffer);
	if (!ret)
		ret = dma_buf_fd(dmabuf, open_flags);
	if (ret < 0)
		dma_buf_put(dmabuf);
	return ret;
}
