// SPDX-License-Identifier: GPL-2.0-only
/*
 * An exporter's life: made by a driver at probe, opened and closed with the
 * device, freed when the last buffer is gone. And the module itself.
 */

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>

#include "internal.h"

struct peermr_exporter *peermr_exporter_create(struct pci_dev *pdev)
{
	struct peermr_exporter *exporter;
	int err;

	/* Without BARs that can be mapped there is nothing to export, and no more. */
	err = pcim_p2pdma_init(pdev);
	if (err && err != -EOPNOTSUPP)
		return ERR_PTR(err);
	exporter = kzalloc_obj(*exporter, GFP_KERNEL);
	if (!exporter)
		return ERR_PTR(-ENOMEM);

	kref_init(&exporter->kref);
	exporter->pdev = pdev;
	strscpy(exporter->name, pci_name(pdev));
	mutex_init(&exporter->transition);
	init_waitqueue_head(&exporter->drained);
	mutex_init(&exporter->lock);
	INIT_LIST_HEAD(&exporter->buffers);
	peermr_debugfs_add(exporter);
	return exporter;
}
EXPORT_SYMBOL_GPL(peermr_exporter_create);

struct peermr_exporter *peermr_exporter_get(struct peermr_exporter *exporter)
{
	kref_get(&exporter->kref);
	return exporter;
}

static void peermr_exporter_free(struct kref *kref)
{
	struct peermr_exporter *exporter =
		container_of(kref, struct peermr_exporter, kref);

	WARN_ON(!list_empty(&exporter->buffers));
	mutex_destroy(&exporter->lock);
	mutex_destroy(&exporter->transition);
	kfree(exporter);
}

void peermr_exporter_unref(struct peermr_exporter *exporter)
{
	kref_put(&exporter->kref, peermr_exporter_free);
}

/* The driver's reference: the device goes, though buffers may stay. */
void peermr_exporter_put(struct peermr_exporter *exporter)
{
	WARN_ON(exporter->open);
	peermr_debugfs_remove(exporter);
	exporter->pdev = NULL;
	peermr_exporter_unref(exporter);
}
EXPORT_SYMBOL_GPL(peermr_exporter_put);

void peermr_exporter_offer(struct peermr_exporter *exporter, u32 flags)
{
	exporter->offered = flags;
}
EXPORT_SYMBOL_GPL(peermr_exporter_offer);

int peermr_exporter_open(struct peermr_exporter *exporter, u32 claimed,
			 u32 combining, u32 reasons)
{
	int err = 0;

	mutex_lock(&exporter->lock);
	if (exporter->open) {
		err = -EBUSY;
	} else {
		exporter->open = true;
		exporter->claimed = claimed;
		exporter->combining = combining;
		exporter->reasons |= reasons;
		exporter->revokes = 0;
		exporter->restores = 0;
		exporter->late_revokes = 0;
	}
	mutex_unlock(&exporter->lock);
	return err;
}
EXPORT_SYMBOL_GPL(peermr_exporter_open);

void peermr_exporter_late(struct peermr_exporter *exporter)
{
	mutex_lock(&exporter->lock);
	exporter->late_revokes++;
	mutex_unlock(&exporter->lock);
}
EXPORT_SYMBOL_GPL(peermr_exporter_late);

int peermr_exporter_set_private(struct peermr_exporter *exporter,
				struct kvm *kvm, bool zap)
{
	int err = 0;

	mutex_lock(&exporter->lock);
	if (exporter->is_private)
		err = -EALREADY;
	else if (exporter->mmapped && !zap)
		err = -EBUSY;
	else if (!exporter->open)
		err = -ENODEV;
	if (!err) {
		exporter->kvm = kvm;
		/* Whoever sees is_private sees kvm too. */
		smp_store_release(&exporter->is_private, true);
	}
	mutex_unlock(&exporter->lock);
	if (err)
		return err;

	err = peermr_exporter_revoke(exporter, PEERMR_WHY_PRIVATE, true);
	if (err) {
		mutex_lock(&exporter->lock);
		WRITE_ONCE(exporter->is_private, false);
		mutex_unlock(&exporter->lock);
	}
	return err;
}
EXPORT_SYMBOL_GPL(peermr_exporter_set_private);

static int __init peermr_export_init(void)
{
	peermr_debugfs_init();
	return 0;
}
module_init(peermr_export_init);

static void __exit peermr_export_exit(void)
{
	peermr_debugfs_exit();
}
module_exit(peermr_export_exit);

MODULE_DESCRIPTION("Export of PCI device memory as dma-bufs that can be taken back");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");
