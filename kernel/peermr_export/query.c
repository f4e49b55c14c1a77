// SPDX-License-Identifier: GPL-2.0-only
/*
 * What importers may ask.
 */

#include <linux/module.h>

#include "internal.h"
#include "peermr_dmabuf.h"

int peermr_dmabuf_query(struct dma_buf *dmabuf,
			struct peermr_dmabuf_info *info)
{
	struct peermr_buffer *buffer = peermr_buffer_of(dmabuf);
	struct peermr_exporter *exporter;

	dma_resv_assert_held(dmabuf->resv);
	if (!buffer)
		return -EINVAL;

	exporter = buffer->exporter;
	*info = (struct peermr_dmabuf_info){
		.state = peermr_buffer_state(buffer),
		.read_only = buffer->read_only,
		.revokes = buffer->revokes,
	};
	if (buffer->state & PEERMR_BUFFER_DEAD)
		return 0;
	/*
	 * Closing kills the buffer under dma_resv before it forgets the VM. Pairs
	 * with the release in peermr_exporter_set_private().
	 */
	if (smp_load_acquire(&exporter->is_private)) {
		info->is_private = true;
		info->kvm = exporter->kvm;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(peermr_dmabuf_query);
