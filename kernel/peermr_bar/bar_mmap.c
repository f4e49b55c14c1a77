// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap of the file: the BARs themselves, uncached.
 */
#include <linux/mm.h>

#include "bar.h"
#include "peermr_pfnmap.h"

void bar_set_hidden(struct bar_device *bar, u32 why)
{
	down_write(&bar->map_lock);
	if (!bar->hidden && bar->mapping)
		unmap_mapping_range(bar->mapping, 0, 0, 1);
	bar->hidden |= why;
	up_write(&bar->map_lock);
}

void bar_clear_hidden(struct bar_device *bar, u32 why)
{
	down_write(&bar->map_lock);
	bar->hidden &= ~why;
	up_write(&bar->map_lock);
}

static vm_fault_t bar_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct bar_device *bar = vma->vm_private_data;
	unsigned long size = PAGE_SIZE << order;
	unsigned long start = ALIGN_DOWN(vmf->address, size);
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long pfn;

	if (start < vma->vm_start || vma->vm_end - start < size)
		return VM_FAULT_FALLBACK;

	down_read(&bar->map_lock);
	/* What else is read here was checked at mmap, and lives as long as nothing is hidden. */
	if (!bar->hidden) {
		pfn = (pci_resource_start(bar->pdev, offset >> BAR_OFFSET_SHIFT) +
		       (offset & GENMASK_ULL(BAR_OFFSET_SHIFT - 1, 0)) +
		       (start - vma->vm_start)) >> PAGE_SHIFT;
		ret = VM_FAULT_FALLBACK;
		if (IS_ALIGNED(pfn, 1UL << order))
			ret = peermr_insert_pfn(vmf, start, pfn, order, false);
	}
	up_read(&bar->map_lock);
	return ret;
}

static vm_fault_t bar_fault(struct vm_fault *vmf)
{
	return bar_huge_fault(vmf, 0);
}

static const struct vm_operations_struct bar_vm_ops = {
	.fault = bar_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = bar_huge_fault,
#endif
};

int bar_mmap(struct bar_device *bar, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 length = vma->vm_end - vma->vm_start;
	u64 index = offset >> BAR_OFFSET_SHIFT;
	u64 bytes;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (index >= PCI_STD_NUM_BARS || !(bar->bars & BIT(index)))
		return -EINVAL;

	bytes = pci_resource_len(bar->pdev, index);
	offset &= GENMASK_ULL(BAR_OFFSET_SHIFT - 1, 0);
	if (offset > bytes || length > bytes - offset)
		return -EINVAL;

	vma->vm_private_data = bar;
	vma->vm_page_prot = pgprot_decrypted(pgprot_noncached(vma->vm_page_prot));
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &bar_vm_ops;
	return 0;
}
