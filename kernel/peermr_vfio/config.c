// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes to configuration space: which of them take the memory away.
 *
 * Only four bytes matter: those that hold memory enable, the power state and the
 * two function level resets. A driver toggles INTx disable and bus mastering,
 * their neighbours, all the time, and importers must not notice.
 *
 * The core copies the user's bytes again when it gets to work, and they may have
 * been changed by then. So after a write that covers such a byte the device is
 * looked at, whatever the write seemed to be.
 */

#include <linux/uaccess.h>

#include "internal.h"

/* What a write means for the memory. */
enum peermr_vfio_write {
	PEERMR_WRITE_OTHER,	/* covers none of the bytes */
	PEERMR_WRITE_HARMLESS,	/* covers one, with a harmless value */
	PEERMR_WRITE_TAKES,	/* takes the memory away */
};

struct peermr_vfio_span {
	const char __user *buf;
	size_t count;
	u64 pos;
};

/* Fetches byte @offset of configuration space: 1, 0 if it is not written. */
static int peermr_vfio_byte(const struct peermr_vfio_span *span, u64 offset,
			    u8 *byte)
{
	if (offset < span->pos || offset - span->pos >= span->count)
		return 0;
	if (get_user(*byte, (const u8 __user *)span->buf + (offset - span->pos)))
		return -EFAULT;
	return 1;
}

void peermr_vfio_find_af_flr(struct peermr_vfio *pv)
{
	const u8 needed = PCI_AF_CAP_FLR | PCI_AF_CAP_TP;
	struct pci_dev *pdev = pv->core.pdev;
	u8 af = pci_find_capability(pdev, PCI_CAP_ID_AF);
	u8 cap;

	pv->af_flr = 0;
	if (af && !pci_read_config_byte(pdev, af + PCI_AF_CAP, &cap) &&
	    (cap & needed) == needed)
		pv->af_flr = af + PCI_AF_CTRL;
}

/* Whether byte @offset, one of the four, takes the memory with value @byte. */
static bool peermr_vfio_takes(struct peermr_vfio *pv, u64 offset, u8 byte)
{
	struct pci_dev *pdev = pv->core.pdev;

	if (offset == PCI_COMMAND)
		return !(byte & PCI_COMMAND_MEMORY) && !pdev->no_command_memory;
	if (pdev->pm_cap && offset == pdev->pm_cap + PCI_PM_CTRL)
		return byte & PCI_PM_CTRL_STATE_MASK;
	if (offset == pv->af_flr)
		return byte & PCI_AF_CTRL_FLR;
	return (byte & (PCI_EXP_DEVCTL_BCR_FLR >> 8)) &&
	       (pdev->devcap & PCI_EXP_DEVCAP_FLR);
}

static int peermr_vfio_classify(struct peermr_vfio *pv,
				const struct peermr_vfio_span *span)
{
	struct pci_dev *pdev = pv->core.pdev;
	const u64 offsets[] = {
		PCI_COMMAND,
		pdev->pm_cap ? pdev->pm_cap + PCI_PM_CTRL : 0,
		pci_pcie_cap(pdev) ? pci_pcie_cap(pdev) + PCI_EXP_DEVCTL + 1 : 0,
		pv->af_flr,
	};
	int ret, found = PEERMR_WRITE_OTHER;
	u8 byte;
	int i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		if (!offsets[i])
			continue;
		ret = peermr_vfio_byte(span, offsets[i], &byte);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		if (peermr_vfio_takes(pv, offsets[i], byte))
			return PEERMR_WRITE_TAKES;
		found = PEERMR_WRITE_HARMLESS;
	}
	return found;
}

ssize_t peermr_vfio_config_write(struct peermr_vfio *pv, const char __user *buf,
				 size_t count, loff_t *ppos)
{
	const struct peermr_vfio_span span = {
		.buf = buf,
		.count = count,
		.pos = *ppos & VFIO_PCI_OFFSET_MASK,
	};
	ssize_t ret;
	int kind;

	kind = peermr_vfio_classify(pv, &span);
	if (kind < 0)
		return kind;
	if (kind == PEERMR_WRITE_TAKES) {
		ret = peermr_vfio_begin_change(pv);
		if (ret)
			return ret;
		ret = vfio_pci_core_write(&pv->core.vdev, buf, count, ppos);
		peermr_vfio_end_change(pv);
		return ret;
	}
	ret = vfio_pci_core_write(&pv->core.vdev, buf, count, ppos);
	if (kind == PEERMR_WRITE_HARMLESS)
		peermr_vfio_settle(pv, true);
	return ret;
}
