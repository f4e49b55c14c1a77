// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that the core's own exporter makes, for iommufd, which imports no
 * others. The core revokes them itself, and keeps its promises only.
 */

#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

/* The core reads its request from user memory: this puts it there. */
static int peermr_vfio_forward(struct peermr_vfio *pv,
			       const struct vfio_device_feature_dma_buf *request,
			       size_t size)
{
	const u32 flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	unsigned long addr;
	int ret;

	addr = vm_mmap(NULL, 0, PAGE_ALIGN(size), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	if (copy_to_user((void __user *)addr, request, size))
		ret = -EFAULT;
	else
		ret = vfio_pci_core_ioctl_feature(&pv->core.vdev, flags,
						  (void __user *)addr, size);
	vm_munmap(addr, PAGE_ALIGN(size));
	return ret;
}

static int peermr_vfio_delegate(struct peermr_vfio *pv,
				const struct peermr_export_create *create)
{
	struct vfio_device_feature_dma_buf *request;
	size_t size;
	int ret;

	if (create->flags != PEERMR_EXPORT_DELEGATE || create->reserved ||
	    !create->nr_ranges)
		return -EINVAL;
	if (create->nr_ranges > PEERMR_EXPORT_MAX_RANGES)
		return -E2BIG;
	size = struct_size(request, dma_ranges, create->nr_ranges);
	request = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!request)
		return -ENOMEM;
	request->region_index = create->bar;
	request->open_flags = create->open_flags;
	request->nr_ranges = create->nr_ranges;
	if (copy_from_user(request->dma_ranges, u64_to_user_ptr(create->ranges),
			   size - sizeof(*request))) {
		kvfree(request);
		return -EFAULT;
	}

	ret = -EPERM;
	if (down_read_killable(&pv->access)) {
		ret = -EINTR;
	} else {
		if (!pv->is_private) {
			ret = peermr_vfio_forward(pv, request, size);
			if (ret >= 0)
				WRITE_ONCE(pv->delegated, true);
		}
		up_read(&pv->access);
	}
	kvfree(request);
	return ret;
}

int peermr_vfio_export(struct peermr_vfio *pv, void __user *arg, size_t argsz)
{
	struct peermr_export_create create;
	int err;

	err = peermr_export_copy_in(&create, sizeof(create), sizeof(create), arg,
				    argsz);
	if (err)
		return err;
	if (create.flags & PEERMR_EXPORT_DELEGATE)
		return peermr_vfio_delegate(pv, &create);
	return peermr_exporter_create_buffer(pv->exporter, &create);
}
