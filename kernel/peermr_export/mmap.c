// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap of a buffer: pages are faulted in while it is live, in the largest pages
 * that fit, and zapped when it is revoked; then an access gives SIGBUS until it
 * is live again.
 */

#include <linux/mm.h>
#include <linux/pagemap.h>

#include "internal.h"
#include "peermr_pfnmap.h"

/* The range that holds page @pgoff of the buffer. */
static u32 peermr_find_range(const struct peermr_buffer *buffer,
			     unsigned long pgoff)
{
	u32 low = 0, high = buffer->nr_ranges;

	/* The last one that begins at or before pgoff. */
	while (high - low > 1) {
		u32 middle = low + (high - low) / 2;

		if (buffer->ranges[middle].first_page <= pgoff)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Whether the 2^@order pages at @pgoff are one aligned piece; which, if so. */
static bool peermr_find_pfn(const struct peermr_buffer *buffer,
			    unsigned long pgoff, unsigned int order,
			    unsigned long *pfn)
{
	u32 i = peermr_find_range(buffer, pgoff);
	unsigned long skip = pgoff - buffer->ranges[i].first_page;
	unsigned long pages = buffer->ranges[i].phys.len >> PAGE_SHIFT;

	if (skip >= pages || pages - skip < BIT(order))
		return false;
	*pfn = (buffer->ranges[i].phys.paddr >> PAGE_SHIFT) + skip;
	return IS_ALIGNED(*pfn, BIT(order));
}

static vm_fault_t peermr_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct peermr_buffer *buffer = vma->vm_private_data;
	unsigned long addr = ALIGN_DOWN(vmf->address, PAGE_SIZE << order);
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long pgoff, pfn;

	if (addr < vma->vm_start || vma->vm_end - addr < PAGE_SIZE << order)
		return VM_FAULT_FALLBACK;
	pgoff = linear_page_index(vma, addr);
	if (!peermr_find_pfn(buffer, pgoff, order, &pfn))
		return order ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;

	/* A revoke zaps after it has set the state: no page gets past it. */
	down_read(&buffer->fault_lock);
	if (!buffer->state) {
		ret = peermr_insert_pfn(vmf, addr, pfn, order,
					vmf->flags & FAULT_FLAG_WRITE);
		if (ret == VM_FAULT_NOPAGE)
			atomic64_inc(&buffer->faults);
	}
	up_read(&buffer->fault_lock);
	return ret;
}

static vm_fault_t peermr_fault(struct vm_fault *vmf)
{
	return peermr_huge_fault(vmf, 0);
}

static const struct vm_operations_struct peermr_vm_ops = {
	.fault = peermr_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = peermr_huge_fault,
#endif
};

/*
 * The kernel's own mapping of the BAR decides for all: a buffer whose flag does
 * not agree with it would be mapped otherwise than it says.
 */
static int peermr_check_mmap(struct peermr_buffer *buffer)
{
	struct peermr_exporter *exporter = buffer->exporter;
	bool combine = buffer->flags & PEERMR_EXPORT_WRITE_COMBINE;
	int err = 0;

	mutex_lock(&exporter->lock);
	if (!exporter->open || (READ_ONCE(buffer->state) & PEERMR_BUFFER_DEAD))
		err = -ENODEV;
	else if (exporter->is_private)
		err = -EPERM;
	else if (combine != !!(exporter->combining & BIT(buffer->bar)))
		err = -EOPNOTSUPP;
	else
		exporter->mmapped = true;
	mutex_unlock(&exporter->lock);
	return err;
}

int peermr_buffer_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct peermr_buffer *buffer = dmabuf->priv;
	unsigned long pages = buffer->size >> PAGE_SHIFT;
	int err;

	if (buffer->flags & PEERMR_EXPORT_NO_MMAP)
		return -EPERM;
	/* A descriptor for reading only never gives VM_SHARED. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff >= pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;
	if (buffer->read_only && (vma->vm_flags & VM_WRITE))
		return -EACCES;
	err = peermr_check_mmap(buffer);
	if (err)
		return err;

	if (buffer->read_only)
		vm_flags_clear(vma, VM_MAYWRITE);
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	if (buffer->flags & PEERMR_EXPORT_WRITE_COMBINE)
		vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	else
		vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vma->vm_private_data = buffer;
	vma->vm_ops = &peermr_vm_ops;
	return 0;
}

void peermr_buffer_zap(struct peermr_buffer *buffer)
{
	unmap_mapping_range(buffer->dmabuf->file->f_mapping, 0, 0, 1);
}
