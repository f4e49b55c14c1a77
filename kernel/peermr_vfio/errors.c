// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets that others start (sysfs, a neighbour's hot reset, the core's own
 * calls), and errors of the link. VFIO's memory_lock may or may not be held by
 * whoever resets, so nothing here takes it.
 */

#include "internal.h"

static void peermr_vfio_reset_prepare(struct pci_dev *pdev)
{
	struct peermr_vfio *pv = peermr_vfio_of(pdev);

	peermr_exporter_revoke(pv->exporter, PEERMR_WHY_RESET, false);
}

static void peermr_vfio_reset_done(struct pci_dev *pdev)
{
	struct peermr_vfio *pv = peermr_vfio_of(pdev);

	peermr_vfio_settle(pv, false);
	peermr_exporter_restore(pv->exporter, PEERMR_WHY_RESET);
}

/* Without recovery, resume is never called, and the memory stays revoked. */
static pci_ers_result_t peermr_vfio_error_detected(struct pci_dev *pdev,
						   pci_channel_state_t state)
{
	struct peermr_vfio *pv = peermr_vfio_of(pdev);

	peermr_exporter_revoke(pv->exporter, PEERMR_WHY_ERROR, false);
	if (state != pci_channel_io_normal) {
		mutex_lock(&pv->settle);
		pv->link_was_reset = true;
		mutex_unlock(&pv->settle);
	}
	return vfio_pci_core_aer_err_detected(pdev, state);
}

static void peermr_vfio_resume(struct pci_dev *pdev)
{
	struct peermr_vfio *pv = peermr_vfio_of(pdev);

	peermr_vfio_settle(pv, false);
	peermr_exporter_restore(pv->exporter, PEERMR_WHY_ERROR);
}

const struct pci_error_handlers peermr_vfio_err_handlers = {
	.error_detected = peermr_vfio_error_detected,
	.resume = peermr_vfio_resume,
	.reset_prepare = peermr_vfio_reset_prepare,
	.reset_done = peermr_vfio_reset_done,
};
