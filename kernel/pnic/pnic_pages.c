// SPDX-License-Identifier: GPL-2.0-only
/* Page lists (section 5) from pinned or mapped memory. */

#include <linux/dmapool.h>
#include <linux/mm.h>
#include <rdma/iter.h>

#include "pnic_verbs.h"

#define PNIC_PAGE_SIZES	GENMASK_ULL(PNIC_PAGE_SHIFT_MAX, PNIC_PAGE_SHIFT_MIN)

static int pnic_pages_alloc(struct pnic_dev *dev, struct pnic_pages *pages, unsigned int count)
{
	pages->blocks = kvcalloc(count, sizeof(*pages->blocks), GFP_KERNEL);
	if (!pages->blocks)
		return -ENOMEM;
	for (; pages->num_blocks < count; pages->num_blocks++) {
		struct pnic_pages_block *block = &pages->blocks[pages->num_blocks];

		block->entries = dma_pool_alloc(dev->page_blocks, GFP_KERNEL, &block->dma);
		if (!block->entries)
			return -ENOMEM;
	}
	return 0;
}

void pnic_pages_free(struct pnic_dev *dev, struct pnic_pages *pages)
{
	while (pages->num_blocks) {
		struct pnic_pages_block *block = &pages->blocks[--pages->num_blocks];

		dma_pool_free(dev->page_blocks, block->entries, block->dma);
	}
	kvfree(pages->blocks);
	pages->blocks = NULL;
}

/* Blocks of each level of the tree, lowest first; returns the number of levels, 0 if too many. */
static unsigned int pnic_pages_levels(size_t num_pages, unsigned int *blocks)
{
	size_t count = num_pages;
	unsigned int levels = 0;

	while (levels < PNIC_PAGE_LIST_MAX_LEVELS) {
		count = DIV_ROUND_UP(count, PNIC_PAGE_LIST_FANOUT);
		blocks[levels++] = count;
		if (count == 1)
			return levels;
	}
	return 0;
}

/*
 * Describes a umem at the largest page size that its DMA addresses allow, whatever the IOVA: the
 * device keeps the offset into the first page by itself. On success the caller frees the list when
 * the command that uses it is done.
 *
 * Returns 0, ENOMEM, or E2BIG if the memory is too scattered for a page list.
 */
int pnic_pages_build(struct pnic_dev *dev, struct ib_umem *umem, struct pnic_pages *pages)
{
	unsigned int level_blocks[PNIC_PAGE_LIST_MAX_LEVELS];
	unsigned int i, level, levels, below, block;
	unsigned long page_size;
	struct ib_block_iter iter;
	size_t num_pages, n = 0;
	int err;

	memset(pages, 0, sizeof(*pages));
	page_size = ib_umem_find_best_pgoff(umem, PNIC_PAGE_SIZES, U64_MAX);
	if (!page_size)
		return -EINVAL;
	num_pages = ib_umem_num_dma_blocks(umem, page_size);
	pages->list.offset = cpu_to_le64(ib_umem_dma_offset(umem, page_size));
	pages->list.num_pages = cpu_to_le32(num_pages);
	pages->list.page_shift = __ffs(page_size);
	if (num_pages == 1) {
		pages->list.addr = cpu_to_le64(ALIGN_DOWN(ib_umem_start_dma_addr(umem), page_size));
		return 0;
	}

	levels = pnic_pages_levels(num_pages, level_blocks);
	if (!levels)
		return -E2BIG;
	for (level = 0, block = 0; level < levels; level++)
		block += level_blocks[level];
	err = pnic_pages_alloc(dev, pages, block);
	if (err) {
		pnic_pages_free(dev, pages);
		return err;
	}

	rdma_umem_for_each_dma_block(umem, &iter, page_size) {
		__le64 *entries = pages->blocks[n / PNIC_PAGE_LIST_FANOUT].entries;

		entries[n++ % PNIC_PAGE_LIST_FANOUT] =
			cpu_to_le64(rdma_block_iter_dma_address(&iter));
	}
	/* The blocks of a level follow those of the level below; the last one is the root. */
	for (level = 1, below = 0; level < levels; below += level_blocks[level - 1], level++) {
		block = below + level_blocks[level - 1];
		for (i = 0; i < level_blocks[level - 1]; i++)
			pages->blocks[block + i / PNIC_PAGE_LIST_FANOUT]
				.entries[i % PNIC_PAGE_LIST_FANOUT] =
				cpu_to_le64(pages->blocks[below + i].dma);
	}
	pages->list.addr = cpu_to_le64(pages->blocks[pages->num_blocks - 1].dma);
	pages->list.levels = levels;
	return 0;
}
