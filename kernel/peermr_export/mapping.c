// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA mappings of a buffer.
 *
 * The kernel's helper decides for a call which way the peers take, and maps
 * ranges accordingly; but in a translated domain it links every range of a call
 * at the start of the same IOVA span, and so fails with more than one (Linux
 * 7.2). Hence a call for each range, and the results joined.
 */

#include <linux/dma-buf-mapping.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/ratelimit.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "internal.h"

/**
 * struct peermr_joined - a mapping of several ranges
 * @sgt: what the importer gets: addresses and lengths of all @parts
 * @nents: entries of @sgt
 * @nr_parts: how many there are
 * @parts: the helper's, one for each range
 */
struct peermr_joined {
	struct sg_table sgt;
	unsigned int nents;
	u32 nr_parts;
	struct sg_table *parts[] __counted_by(nr_parts);
};

static struct sg_table *peermr_map_range(struct peermr_buffer *buffer,
					 struct dma_buf_attachment *attach,
					 enum dma_data_direction dir, u32 i)
{
	struct phys_vec *range = &buffer->ranges[i].phys;
	struct sg_table *sgt;

	sgt = dma_buf_phys_vec_to_sgt(attach, buffer->provider, range, 1,
				      range->len, dir);
	/* For valid ranges this is what it says of devices that can't be peers. */
	if (sgt == ERR_PTR(-EINVAL)) {
		pr_notice_ratelimited("peermr_export: %s cannot reach the memory of %s: no peer-to-peer path\n",
				      dev_name(attach->dev),
				      buffer->exporter->name);
		return ERR_PTR(-EXDEV);
	}
	return sgt;
}

static void peermr_unmap_range(struct dma_buf_attachment *attach,
			       struct sg_table *sgt,
			       enum dma_data_direction dir)
{
	/*
	 * The helper sets orig_nents to 0 for importers to see that there is no
	 * CPU list, and frees as many entries: none (Linux 7.2).
	 */
	sgt->orig_nents = sgt->nents;
	dma_buf_free_sgt(attach, sgt, dir);
}

static void peermr_unmap_parts(struct peermr_joined *joined, u32 nr_parts,
			       struct dma_buf_attachment *attach,
			       enum dma_data_direction dir)
{
	while (nr_parts--)
		peermr_unmap_range(attach, joined->parts[nr_parts], dir);
	kvfree(joined);
}

static int peermr_join(struct peermr_joined *joined)
{
	struct scatterlist *to, *from;
	unsigned int nents = 0;
	unsigned int j;
	u32 i;
	int err;

	for (i = 0; i < joined->nr_parts; i++)
		if (check_add_overflow(nents, joined->parts[i]->nents, &nents))
			return -EOVERFLOW;
	err = sg_alloc_table(&joined->sgt, nents, GFP_KERNEL);
	if (err)
		return err;

	to = joined->sgt.sgl;
	for (i = 0; i < joined->nr_parts; i++) {
		for_each_sgtable_dma_sg(joined->parts[i], from, j) {
			sg_set_page(to, NULL, 0, 0);
			sg_dma_address(to) = sg_dma_address(from);
			sg_dma_len(to) = sg_dma_len(from);
			to = sg_next(to);
		}
	}
	/* As in the helper's: there is no CPU list. */
	joined->nents = joined->sgt.orig_nents;
	joined->sgt.orig_nents = 0;
	return 0;
}

static struct sg_table *peermr_map_joined(struct peermr_buffer *buffer,
					  struct dma_buf_attachment *attach,
					  enum dma_data_direction dir)
{
	struct peermr_joined *joined;
	struct sg_table *part;
	u32 i;
	int err;

	joined = kvzalloc(struct_size(joined, parts, buffer->nr_ranges),
			  GFP_KERNEL);
	if (!joined)
		return ERR_PTR(-ENOMEM);
	joined->nr_parts = buffer->nr_ranges;
	for (i = 0; i < joined->nr_parts; i++) {
		part = peermr_map_range(buffer, attach, dir, i);
		if (IS_ERR(part)) {
			err = PTR_ERR(part);
			goto err_unmap;
		}
		joined->parts[i] = part;
	}
	err = peermr_join(joined);
	if (err)
		goto err_unmap;
	return &joined->sgt;

err_unmap:
	peermr_unmap_parts(joined, i, attach, dir);
	return ERR_PTR(err);
}

struct sg_table *peermr_buffer_map_sgt(struct peermr_buffer *buffer,
				       struct dma_buf_attachment *attach,
				       enum dma_data_direction dir)
{
	if (buffer->nr_ranges == 1)
		return peermr_map_range(buffer, attach, dir, 0);
	return peermr_map_joined(buffer, attach, dir);
}

void peermr_buffer_unmap_sgt(struct peermr_buffer *buffer,
			     struct dma_buf_attachment *attach,
			     struct sg_table *sgt, enum dma_data_direction dir)
{
	struct peermr_joined *joined;

	if (buffer->nr_ranges == 1) {
		peermr_unmap_range(attach, sgt, dir);
		return;
	}
	joined = container_of(sgt, struct peermr_joined, sgt);
	joined->sgt.orig_nents = joined->nents;
	sg_free_table(&joined->sgt);
	peermr_unmap_parts(joined, joined->nr_parts, attach, dir);
}
