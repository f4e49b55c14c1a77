// SPDX-License-Identifier: GPL-2.0-only
/*
 * The status page (section 4) as one user context maps it: read-only, and a page of zeroes once
 * the context is gone, which says "don't kick". A client may outlive its device, and rings
 * doorbells until it notices.
 *
 * rdma_user_mmap_io() is not for it: for a read-only mapping of a device that is gone the core
 * hands the system's zero page to mm as if it were a page of a file, which mm warns of
 * (CONFIG_DEBUG_VM). So the mapping has a file of its own, which is what takes it away here.
 */

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "pnic_verbs.h"

struct pnic_status {
	struct mutex lock;	/* protects gone; a fault holds it until its page is in place */
	bool gone;
	unsigned long pfn;	/* of the device */
};

static vm_fault_t pnic_status_fault(struct vm_fault *vmf)
{
	struct pnic_status *status = vmf->vma->vm_file->private_data;
	unsigned long pfn;
	vm_fault_t ret;

	mutex_lock(&status->lock);
	pfn = status->gone ? page_to_pfn(ZERO_PAGE(vmf->address)) : status->pfn;
	ret = vmf_insert_pfn(vmf->vma, vmf->address, pfn);
	mutex_unlock(&status->lock);
	return ret;
}

static const struct vm_operations_struct pnic_status_vm_ops = {
	.fault = pnic_status_fault,
};

static int pnic_status_release(struct inode *inode, struct file *file)
{
	struct pnic_status *status = file->private_data;

	mutex_destroy(&status->lock);
	kfree(status);
	return 0;
}

/* The owner: mappings that outlive the device need the fault handler above. */
static const struct file_operations pnic_status_fops = {
	.owner = THIS_MODULE,
	.release = pnic_status_release,
};

/* The file that pnic_status_mmap() maps, of the page at phys; pnic_status_end() ends it. */
struct file *pnic_status_create(phys_addr_t phys)
{
	struct pnic_status *status;
	struct file *file;

	status = kzalloc_obj(*status);
	if (!status)
		return ERR_PTR(-ENOMEM);
	mutex_init(&status->lock);
	status->pfn = PHYS_PFN(phys);
	file = anon_inode_create_getfile("[pnic-status]", &pnic_status_fops, status, O_RDONLY,
					 NULL);
	if (IS_ERR(file)) {
		mutex_destroy(&status->lock);
		kfree(status);
	}
	return file;
}

/* On return no mapping shows the device any more; they themselves stay as long as they like. */
void pnic_status_end(struct file *file)
{
	struct pnic_status *status = file->private_data;

	mutex_lock(&status->lock);
	status->gone = true;
	mutex_unlock(&status->lock);
	unmap_mapping_range(file->f_mapping, 0, 0, 1);
	fput(file);
}

/* Shared and of one page, as rdma_user_mmap_entry_get() has seen to. */
int pnic_status_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	vm_flags_clear(vma, VM_MAYWRITE);
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_ops = &pnic_status_vm_ops; /* instead of the core's */
	vma_set_file(vma, file);
	return 0;
}
