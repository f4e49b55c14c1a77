/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of mappings that have physical addresses and no pages, of any size.
 */
#ifndef PEERMR_PFNMAP_H
#define PEERMR_PFNMAP_H

#include <linux/mm.h>

/*
 * Inserts the 2^@order pages from @pfn on at @addr, which are aligned to that and
 * within the mapping. VM_FAULT_FALLBACK: there is no such size.
 */
static inline vm_fault_t peermr_insert_pfn(struct vm_fault *vmf,
					   unsigned long addr, unsigned long pfn,
					   unsigned int order, bool write)
{
	if (!order)
		return vmf_insert_pfn(vmf->vma, addr, pfn);
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	if (order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, write);
#endif
#ifdef CONFIG_ARCH_SUPPORTS_PUD_PFNMAP
	if (order == PUD_ORDER)
		return vmf_insert_pfn_pud(vmf, pfn, write);
#endif
	return VM_FAULT_FALLBACK;
}

#endif
