// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI driver: binds a device that the administrator named by driver_override,
 * and hears when its memory goes.
 *
 * Bus mastering is off and stays off: there is no IOMMU to confine the device, and
 * whoever has the file could program it to write anywhere.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "bar.h"
#include "peermr_exporter.h"

static void bar_device_free(struct kref *ref)
{
	struct bar_device *bar = container_of(ref, struct bar_device, ref);

	peermr_exporter_put(bar->exporter);
	mutex_destroy(&bar->owner);
	kfree(bar->nodename);
	kfree(bar->name);
	kfree(bar);
}

void bar_device_put(struct bar_device *bar)
{
	kref_put(&bar->ref, bar_device_free);
}

int bar_hide(struct bar_device *bar, u32 why, bool interruptible)
{
	int ret;

	bar_set_hidden(bar, why);
	ret = peermr_exporter_revoke(bar->exporter, why, interruptible);
	if (ret)
		bar_clear_hidden(bar, why);
	return ret;
}

void bar_show(struct bar_device *bar, u32 why)
{
	bar_clear_hidden(bar, why);
	peermr_exporter_restore(bar->exporter, why);
}

static struct bar_device *bar_device_alloc(struct pci_dev *pdev)
{
	struct bar_device *bar = kzalloc(sizeof(*bar), GFP_KERNEL);

	if (!bar)
		return ERR_PTR(-ENOMEM);

	bar->name = kasprintf(GFP_KERNEL, "peermr_bar-%s", pci_name(pdev));
	bar->nodename = kasprintf(GFP_KERNEL, "peermr_bar/%s", pci_name(pdev));
	if (!bar->name || !bar->nodename) {
		kfree(bar->nodename);
		kfree(bar->name);
		kfree(bar);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&bar->ref);
	mutex_init(&bar->owner);
	init_rwsem(&bar->map_lock);
	bar->pdev = pdev;
	bar->misc.minor = MISC_DYNAMIC_MINOR;
	bar->misc.name = bar->name;
	bar->misc.nodename = bar->nodename;
	bar->misc.mode = 0600;
	bar->misc.fops = &bar_file_ops;
	bar->misc.parent = &pdev->dev;
	return bar;
}

static int bar_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct peermr_exporter *exporter;
	struct bar_device *bar;
	int ret;

	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return -EINVAL;

	exporter = peermr_exporter_create(pdev);
	if (IS_ERR(exporter))
		return PTR_ERR(exporter);

	bar = bar_device_alloc(pdev);
	if (IS_ERR(bar)) {
		peermr_exporter_put(exporter);
		return PTR_ERR(bar);
	}
	bar->exporter = exporter;

	ret = pci_enable_device_mem(pdev);
	if (ret)
		goto err_put;
	pci_clear_master(pdev);

	bar->bars = pci_select_bars(pdev, IORESOURCE_MEM) & GENMASK(PCI_STD_NUM_BARS - 1, 0);
	ret = pci_request_selected_regions(pdev, bar->bars, "peermr_bar");
	if (ret)
		goto err_disable;

	/* Also learns whether there is a reset. */
	ret = pci_reset_function_locked(pdev);
	bar->reset_works = !ret;
	pci_clear_master(pdev);
	pci_save_state(pdev);

	pci_set_drvdata(pdev, bar);
	ret = misc_register(&bar->misc);
	if (ret)
		goto err_release;

	pci_info(pdev, "memory exported through /dev/%s\n", bar->nodename);
	return 0;

err_release:
	pci_set_drvdata(pdev, NULL);
	pci_release_selected_regions(pdev, bar->bars);
err_disable:
	pci_disable_device(pdev);
err_put:
	bar_device_put(bar);
	return ret;
}

static void bar_remove(struct pci_dev *pdev)
{
	struct bar_device *bar = pci_get_drvdata(pdev);

	/* First, since the file's user may be long in closing it. */
	bar_hide(bar, PEERMR_WHY_REMOVED, false);
	misc_deregister(&bar->misc);

	mutex_lock(&bar->owner);
	bar->gone = true;
	peermr_exporter_close(bar->exporter);
	mutex_unlock(&bar->owner);

	pci_set_drvdata(pdev, NULL);
	pci_release_selected_regions(pdev, bar->bars);
	pci_disable_device(pdev);
	bar_device_put(bar);
}

static void bar_reset_prepare(struct pci_dev *pdev)
{
	struct bar_device *bar = pci_get_drvdata(pdev);

	if (bar)
		bar_hide(bar, PEERMR_WHY_RESET, false);
}

static void bar_reset_done(struct pci_dev *pdev)
{
	struct bar_device *bar = pci_get_drvdata(pdev);

	if (bar)
		bar_show(bar, PEERMR_WHY_RESET);
}

static pci_ers_result_t bar_error_detected(struct pci_dev *pdev,
					   pci_channel_state_t state)
{
	bar_hide(pci_get_drvdata(pdev), PEERMR_WHY_ERROR, false);
	return state == pci_channel_io_perm_failure ? PCI_ERS_RESULT_DISCONNECT :
						      PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t bar_slot_reset(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	pci_clear_master(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static void bar_resume_io(struct pci_dev *pdev)
{
	bar_show(pci_get_drvdata(pdev), PEERMR_WHY_ERROR);
}

static const struct pci_error_handlers bar_error_handlers = {
	.error_detected = bar_error_detected,
	.slot_reset = bar_slot_reset,
	.resume = bar_resume_io,
	.reset_prepare = bar_reset_prepare,
	.reset_done = bar_reset_done,
};

static int bar_suspend(struct device *dev)
{
	/* The user is frozen and cannot be asked; importers can. */
	return bar_hide(dev_get_drvdata(dev), PEERMR_WHY_SUSPEND, false);
}

static int bar_resume(struct device *dev)
{
	bar_show(dev_get_drvdata(dev), PEERMR_WHY_SUSPEND);
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(bar_pm_ops, bar_suspend, bar_resume);

/* No ids: only driver_override binds. */
static struct pci_driver bar_driver = {
	.name = "peermr_bar",
	.probe = bar_probe,
	.remove = bar_remove,
	.err_handler = &bar_error_handlers,
	.driver.pm = pm_sleep_ptr(&bar_pm_ops),
};
module_pci_driver(bar_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("PCI device memory as dma-bufs, without VFIO");
