// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory: asked of peermr's exporter, where it is loaded and the buffer is its own.
 */

#include <linux/dma-buf.h>
#include <linux/module.h>

#include "peermr_dmabuf.h"
#include "pnic_verbs.h"

/* 0, or -EPERM for memory that belongs to a VM. dma_resv is held. */
int pnic_check_private(struct pnic_dev *dev, struct dma_buf *dmabuf)
{
	typeof(&peermr_dmabuf_query) query = symbol_get(peermr_dmabuf_query);
	struct peermr_dmabuf_info info;
	bool is_private;

	if (!query)
		return 0;
	is_private = !query(dmabuf, &info) && info.is_private;
	symbol_put(peermr_dmabuf_query);
	if (!is_private)
		return 0;
	pci_info(dev->pdev, "a dma-buf (inode %llu) is private memory%s: not imported\n",
		 (u64)file_inode(dmabuf->file)->i_ino, info.kvm ? " of a VM" : "");
	return -EPERM;
}
