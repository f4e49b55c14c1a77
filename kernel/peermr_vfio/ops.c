// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VFIO device: mainline's operations, and around those that may take the
 * memory away a revoke before and a restore after.
 */

#include <linux/pm_runtime.h>
#include <linux/uaccess.h>

#include "internal.h"

/*
 * The reset of a link that ends the recovery from a fatal error leaves BARs and
 * command register empty, and the core, which believes what its user last wrote,
 * puts them back when the user enables memory once more.
 */
static bool peermr_vfio_link_kept(struct peermr_vfio *pv)
{
	struct pci_dev *pdev = pv->core.pdev;
	u16 command;

	if (!pv->link_was_reset)
		return true;
	if (!pdev->no_command_memory &&
	    (pci_read_config_word(pdev, PCI_COMMAND, &command) ||
	     PCI_POSSIBLE_ERROR(command) || !(command & PCI_COMMAND_MEMORY)))
		return false;
	pv->link_was_reset = false;
	return true;
}

/*
 * What the core calls enabled, but for D1 and D2: a function answers no memory
 * request there. Without memory_lock the answer may be old at once: whoever
 * changes it settles after the change.
 */
static bool peermr_vfio_memory_there(struct peermr_vfio *pv)
{
	struct vfio_pci_core_device *core = &pv->core;

	lockdep_assert_held(&pv->settle);

	return !READ_ONCE(core->pm_runtime_engaged) &&
	       READ_ONCE(core->pdev->current_state) == PCI_D0 &&
	       __vfio_pci_memory_enabled(core) &&
	       peermr_vfio_link_kept(pv);
}

void peermr_vfio_settle(struct peermr_vfio *pv, bool late)
{
	bool gone;

	mutex_lock(&pv->settle);
	if (pv->is_open) {
		gone = !peermr_vfio_memory_there(pv);
		if (gone) {
			peermr_exporter_revoke(pv->exporter, PEERMR_WHY_MEMORY,
					       false);
			if (late && !pv->memory_gone)
				peermr_exporter_late(pv->exporter);
		} else {
			peermr_exporter_restore(pv->exporter, PEERMR_WHY_MEMORY);
		}
		pv->memory_gone = gone;
	}
	mutex_unlock(&pv->settle);
}

int peermr_vfio_begin_change(struct peermr_vfio *pv)
{
	int err;

	if (mutex_lock_interruptible(&pv->change))
		return -ERESTARTSYS;
	err = peermr_exporter_revoke(pv->exporter, PEERMR_WHY_CHANGE, true);
	if (err)
		mutex_unlock(&pv->change);
	return err;
}

void peermr_vfio_end_change(struct peermr_vfio *pv)
{
	peermr_vfio_settle(pv, false);
	peermr_exporter_restore(pv->exporter, PEERMR_WHY_CHANGE);
	mutex_unlock(&pv->change);
}

/* The BARs whose resources the core has claimed. */
static u32 peermr_vfio_claimed(struct vfio_pci_core_device *core)
{
	u32 claimed = 0;
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (!IS_ERR_OR_NULL(core->barmap[bar]))
			claimed |= BIT(bar);
	return claimed;
}

static int peermr_vfio_open_device(struct vfio_device *vdev)
{
	struct peermr_vfio *pv = to_peermr_vfio(vdev);
	u32 combining;
	int err;

	err = vfio_pci_core_enable(&pv->core);
	if (err)
		return err;

	peermr_vfio_catch_up(pv);
	peermr_vfio_find_af_flr(pv);
	combining = peermr_vfio_combine(pv);
	mutex_lock(&pv->settle);
	pv->memory_gone = !peermr_vfio_memory_there(pv);
	err = peermr_exporter_open(pv->exporter, peermr_vfio_claimed(&pv->core),
				   combining,
				   pv->memory_gone ? PEERMR_WHY_MEMORY : 0);
	pv->is_open = !err;
	mutex_unlock(&pv->settle);
	if (err) {
		vfio_pci_core_disable(&pv->core);
		return err;
	}
	vfio_pci_core_finish_enable(&pv->core);
	return 0;
}

static void peermr_vfio_close_device(struct vfio_device *vdev)
{
	struct peermr_vfio *pv = to_peermr_vfio(vdev);

	peermr_exporter_close(pv->exporter);
	mutex_lock(&pv->settle);
	pv->is_open = false;
	mutex_unlock(&pv->settle);
	peermr_vfio_end_private(pv);
	vfio_pci_core_close_device(vdev);
}

/* Calls that the core refuses for their form are no reason for a revoke. */
static bool peermr_vfio_may_reset(struct peermr_vfio *pv, unsigned int cmd,
				  void __user *arg)
{
	struct vfio_pci_hot_reset header;
	size_t size = offsetofend(struct vfio_pci_hot_reset, count);

	if (cmd == VFIO_DEVICE_RESET)
		return pv->core.reset_works;
	if (cmd != VFIO_DEVICE_PCI_HOT_RESET)
		return false;
	return !copy_from_user(&header, arg, size) && header.argsz >= size &&
	       !header.flags;
}

static long peermr_vfio_ioctl(struct vfio_device *vdev, unsigned int cmd,
			      unsigned long arg)
{
	struct peermr_vfio *pv = to_peermr_vfio(vdev);
	long ret;

	if (cmd == VFIO_DEVICE_IOEVENTFD)
		return peermr_vfio_ioeventfd(pv, arg);
	if (!peermr_vfio_may_reset(pv, cmd, (void __user *)arg))
		return vfio_pci_core_ioctl(vdev, cmd, arg);
	ret = peermr_vfio_begin_change(pv);
	if (ret)
		return ret;
	ret = vfio_pci_core_ioctl(vdev, cmd, arg);
	peermr_vfio_end_change(pv);
	return ret;
}

const struct vfio_device_ops peermr_vfio_ops = {
	.name = "peermr_vfio",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.open_device = peermr_vfio_open_device,
	.close_device = peermr_vfio_close_device,
	.ioctl = peermr_vfio_ioctl,
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
	.device_feature = peermr_vfio_feature,
	.read = peermr_vfio_read,
	.write = peermr_vfio_write,
	.mmap = peermr_vfio_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
	.pasid_attach_ioas = vfio_iommufd_physical_pasid_attach_ioas,
	.pasid_detach_ioas = vfio_iommufd_physical_pasid_detach_ioas,
};
