// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory: besides the exporter's buffers, the ways to the BARs that the
 * VFIO descriptor itself is.
 *
 * Accesses by read and write, and the setting of ioeventfds, hold `access` while
 * the core does them. Faults hold `fault` instead: `access` is held across
 * accesses to user memory, so it can't be taken below mmap_lock.
 */

#include <linux/mm.h>
#include <linux/uaccess.h>

#include "internal.h"

static bool peermr_vfio_is_config(loff_t pos)
{
	return VFIO_PCI_OFFSET_TO_INDEX(pos) == VFIO_PCI_CONFIG_REGION_INDEX;
}

ssize_t peermr_vfio_read(struct vfio_device *vdev, char __user *buf,
			 size_t count, loff_t *ppos)
{
	struct peermr_vfio *pv = to_peermr_vfio(vdev);
	ssize_t ret = -EPERM;

	if (peermr_vfio_is_config(*ppos))
		return vfio_pci_core_read(vdev, buf, count, ppos);
	down_read(&pv->access);
	if (!pv->is_private)
		ret = vfio_pci_core_read(vdev, buf, count, ppos);
	up_read(&pv->access);
	return ret;
}

ssize_t peermr_vfio_write(struct vfio_device *vdev, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	struct peermr_vfio *pv = to_peermr_vfio(vdev);
	ssize_t ret = -EPERM;

	if (peermr_vfio_is_config(*ppos))
		return peermr_vfio_config_write(pv, buf, count, ppos);
	down_read(&pv->access);
	if (!pv->is_private)
		ret = vfio_pci_core_write(vdev, buf, count, ppos);
	up_read(&pv->access);
	return ret;
}

long peermr_vfio_ioeventfd(struct peermr_vfio *pv, unsigned long arg)
{
	long ret = -EPERM;

	down_read(&pv->access);
	if (!pv->is_private)
		ret = vfio_pci_core_ioctl(&pv->core.vdev,
					  VFIO_DEVICE_IOEVENTFD, arg);
	up_read(&pv->access);
	return ret;
}

static struct peermr_vfio *peermr_vfio_of_vma(struct vm_area_struct *vma)
{
	struct vfio_pci_core_device *core = vma->vm_private_data;

	return container_of(core, struct peermr_vfio, core);
}

static vm_fault_t peermr_vfio_fault(struct vm_fault *vmf)
{
	struct peermr_vfio *pv = peermr_vfio_of_vma(vmf->vma);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	down_read(&pv->fault);
	if (!pv->is_private)
		ret = pv->core_vm_ops->fault(vmf);
	up_read(&pv->fault);
	return ret;
}

static vm_fault_t peermr_vfio_huge_fault(struct vm_fault *vmf,
					 unsigned int order)
{
	struct peermr_vfio *pv = peermr_vfio_of_vma(vmf->vma);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	down_read(&pv->fault);
	if (!pv->is_private)
		ret = pv->core_vm_ops->huge_fault(vmf, order);
	up_read(&pv->fault);
	return ret;
}

static const struct vm_operations_struct peermr_vfio_vm_ops = {
	.fault = peermr_vfio_fault,
};

static const struct vm_operations_struct peermr_vfio_huge_vm_ops = {
	.fault = peermr_vfio_fault,
	.huge_fault = peermr_vfio_huge_fault,
};

int peermr_vfio_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct peermr_vfio *pv = to_peermr_vfio(vdev);
	int err;

	down_read(&pv->fault);
	if (pv->is_private) {
		up_read(&pv->fault);
		return -EPERM;
	}
	WRITE_ONCE(pv->mmapped, true);
	up_read(&pv->fault);

	err = vfio_pci_core_mmap(vdev, vma);
	if (err)
		return err;
	/* The core's operations are the same for all its mappings. */
	WRITE_ONCE(pv->core_vm_ops, vma->vm_ops);
	vma->vm_ops = vma->vm_ops->huge_fault ? &peermr_vfio_huge_vm_ops :
						&peermr_vfio_vm_ops;
	return 0;
}

static void peermr_vfio_zap(struct peermr_vfio *pv)
{
	loff_t start = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_BAR0_REGION_INDEX);
	loff_t end = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_ROM_REGION_INDEX);

	unmap_mapping_range(pv->core.vdev.inode->i_mapping, start, end - start,
			    1);
}

/* From 0 on no fault and no mmap passes. */
static int peermr_vfio_stop_faults(struct peermr_vfio *pv, bool zap)
{
	int err = 0;

	down_write(&pv->fault);
	if (pv->mmapped && !zap)
		err = -EBUSY;
	else
		pv->is_private = true;
	up_write(&pv->fault);
	return err;
}

/* Called with `access` held for write: no access is under way, none begins. */
static int peermr_vfio_make_private(struct peermr_vfio *pv, bool zap)
{
	int err;

	if (pv->is_private)
		return -EALREADY;
	/* Neither can be taken back. */
	if (READ_ONCE(pv->core.ioeventfds_nr) || pv->delegated)
		return -EBUSY;
	err = peermr_vfio_stop_faults(pv, zap);
	if (err)
		return err;
	err = peermr_exporter_set_private(pv->exporter, pv->core.vdev.kvm, zap);
	if (err) {
		down_write(&pv->fault);
		pv->is_private = false;
		up_write(&pv->fault);
		return err;
	}
	peermr_vfio_zap(pv);
	return 0;
}

int peermr_vfio_feature_private(struct peermr_vfio *pv, u32 flags,
				void __user *arg, size_t argsz)
{
	struct peermr_export_private request;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET,
				 sizeof(request));
	if (ret != 1)
		return ret;
	ret = peermr_export_copy_in(&request, sizeof(request), sizeof(request),
				    arg, argsz);
	if (ret)
		return ret;
	if (request.flags & ~PEERMR_PRIVATE_ZAP)
		return -EINVAL;
	if (down_write_killable(&pv->access))
		return -EINTR;
	ret = peermr_vfio_make_private(pv, request.flags & PEERMR_PRIVATE_ZAP);
	up_write(&pv->access);
	return ret;
}

/* After the exporter was closed; nobody has the device open. */
void peermr_vfio_end_private(struct peermr_vfio *pv)
{
	pv->is_private = false;
	pv->mmapped = false;
	pv->delegated = false;
}
