// SPDX-License-Identifier: GPL-2.0-only
/*
 * What peermr's exporters say of a buffer, beyond an errno: where they are loaded and the buffer is
 * theirs. Asking takes the lookup of a symbol, so it is done only once something failed.
 */

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/module.h>

#include <peermr/peermr_export.h>

#include "peermr_dmabuf.h"
#include "pnic_verbs.h"

/* dma_resv is held. */
static bool pnic_ask_exporter(struct dma_buf *dmabuf, struct peermr_dmabuf_info *info)
{
	typeof(&peermr_dmabuf_query) query = symbol_get(peermr_dmabuf_query);
	int err;

	if (!query)
		return false;
	err = query(dmabuf, info);
	symbol_put(peermr_dmabuf_query);
	return !err;
}

/* Why an import was refused with EPERM. */
void pnic_explain_refusal(struct pnic_dev *dev, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct peermr_dmabuf_info info;

	if (IS_ERR(dmabuf))
		return;
	dma_resv_lock(dmabuf->resv, NULL);
	if (pnic_ask_exporter(dmabuf, &info) && info.is_private)
		pci_info(dev->pdev, "a dma-buf (inode %llu) is private memory%s: not imported\n",
			 (u64)file_inode(dmabuf->file)->i_ino, info.kvm ? " of a VM" : "");
	dma_resv_unlock(dmabuf->resv);
	dma_buf_put(dmabuf);
}

/* Whether nobody will ever map the buffer again, as far as anybody says. dma_resv is held. */
bool pnic_buffer_is_dead(struct dma_buf *dmabuf)
{
	struct peermr_dmabuf_info info;

	return pnic_ask_exporter(dmabuf, &info) && info.state == PEERMR_EXPORT_DEAD;
}
