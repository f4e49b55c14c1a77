/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an importer may ask about a dma-buf of peermr's exporters. Importers that
 * must also load without them use symbol_get().
 */
#ifndef PEERMR_DMABUF_H
#define PEERMR_DMABUF_H

#include <linux/types.h>

struct dma_buf;
struct kvm;

/**
 * struct peermr_dmabuf_info - a buffer, at the moment
 * @state: enum peermr_export_state
 * @is_private: nobody may map it; the VM in @kvm may reach it by other means
 * @read_only: must not be written
 * @kvm: the VM, or NULL. Valid while the caller holds the buffer's dma_resv;
 *       a caller that needs it longer takes a reference of its own before it
 *       lets go
 * @revokes: times that it became unmappable
 */
struct peermr_dmabuf_info {
	u32 state;
	bool is_private;
	bool read_only;
	struct kvm *kvm;
	u64 revokes;
};

/**
 * peermr_dmabuf_query() - what is this buffer?
 *
 * Called with the buffer's dma_resv held. Returns 0, or -EINVAL for a buffer of
 * another exporter. Exported GPL-only.
 */
int peermr_dmabuf_query(struct dma_buf *dmabuf,
			struct peermr_dmabuf_info *info);

#endif
