// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI function: probe and remove, and resets that others start (sysfs, AER, VFIO). All of
 * these run under device_lock, which protects struct pnic_function.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "pnic.h"

struct pnic_function {
	void __iomem *regs;
	void __iomem *doorbells;
	struct pnic_dev *dev;	/* NULL while the function is in reset, or when bring-up failed */
};

static void pnic_function_start(struct pci_dev *pdev)
{
	struct pnic_function *fn = pci_get_drvdata(pdev);
	struct pnic_dev *dev;

	dev = pnic_dev_start(pdev, fn->regs, fn->doorbells);
	if (IS_ERR(dev))
		dev_err(&pdev->dev, "no device after the reset: %pe\n", dev);
	else
		fn->dev = dev;
}

static void pnic_function_stop(struct pci_dev *pdev, const char *why_kill)
{
	struct pnic_function *fn = pci_get_drvdata(pdev);
	struct pnic_dev *dev = fn->dev;

	if (!dev)
		return;
	fn->dev = NULL;
	pnic_dev_stop(dev, why_kill);
}

/*
 * Before the function loses its state. Nothing is asked of the device any more: the clients'
 * memory is safe once bus mastering is off, and a reset may well be due to a device that hangs.
 */
static void pnic_reset_prepare(struct pci_dev *pdev)
{
	pnic_function_stop(pdev, "reset");
}

static void pnic_reset_done(struct pci_dev *pdev)
{
	pnic_function_start(pdev);
}

static const struct pci_error_handlers pnic_err_handlers = {
	.reset_prepare = pnic_reset_prepare,
	.reset_done = pnic_reset_done,
};

static int pnic_check_bars(struct pci_dev *pdev)
{
	if (pci_resource_len(pdev, PNIC_BAR_REGS) < PNIC_BAR_REGS_SIZE ||
	    pci_resource_len(pdev, PNIC_BAR_DOORBELL) < PNIC_BAR_DOORBELL_SIZE ||
	    !(pci_resource_flags(pdev, PNIC_BAR_REGS) & IORESOURCE_MEM) ||
	    !(pci_resource_flags(pdev, PNIC_BAR_DOORBELL) & IORESOURCE_MEM)) {
		dev_err(&pdev->dev, "BARs are missing or too small\n");
		return -ENODEV;
	}
	return 0;
}

static int pnic_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct pnic_function *fn;
	struct pnic_dev *dev;
	int err;

	fn = devm_kzalloc(&pdev->dev, sizeof(*fn), GFP_KERNEL);
	if (!fn)
		return -ENOMEM;
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	err = pnic_check_bars(pdev);
	if (err)
		return err;
	fn->regs = pcim_iomap_region(pdev, PNIC_BAR_REGS, PNIC_DRIVER_NAME);
	if (IS_ERR(fn->regs))
		return PTR_ERR(fn->regs);
	fn->doorbells = pcim_iomap_region(pdev, PNIC_BAR_DOORBELL, PNIC_DRIVER_NAME);
	if (IS_ERR(fn->doorbells))
		return PTR_ERR(fn->doorbells);
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	dma_set_max_seg_size(&pdev->dev, SZ_2G);

	dev = pnic_dev_start(pdev, fn->regs, fn->doorbells);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	fn->dev = dev;
	pci_set_drvdata(pdev, fn);
	return 0;
}

static void pnic_remove(struct pci_dev *pdev)
{
	struct pnic_function *fn = pci_get_drvdata(pdev);
	bool gone = fn->dev && pnic_read(fn->dev, PNIC_REG_MAGIC) != PNIC_MAGIC;

	pnic_function_stop(pdev, gone ? "device is gone" : NULL);
}

static int pnic_suspend(struct device *ddev)
{
	pnic_function_stop(to_pci_dev(ddev), NULL);
	return 0;
}

static int pnic_resume(struct device *ddev)
{
	pnic_function_start(to_pci_dev(ddev));
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(pnic_pm_ops, pnic_suspend, pnic_resume);

static const struct pci_device_id pnic_ids[] = {
	{ PCI_DEVICE(PNIC_PCI_VENDOR_ID, PNIC_PCI_DEVICE_ID) },
	{}
};
MODULE_DEVICE_TABLE(pci, pnic_ids);

static struct pci_driver pnic_driver = {
	.name = PNIC_DRIVER_NAME,
	.id_table = pnic_ids,
	.probe = pnic_probe,
	.remove = pnic_remove,
	.err_handler = &pnic_err_handlers,
	.driver.pm = pm_sleep_ptr(&pnic_pm_ops),
};

static int __init pnic_init(void)
{
	int err;

	pnic_debugfs_init();
	err = pci_register_driver(&pnic_driver);
	if (err)
		pnic_debugfs_exit();
	return err;
}
module_init(pnic_init);

static void __exit pnic_exit(void)
{
	pci_unregister_driver(&pnic_driver);
	pnic_debugfs_exit();
}
module_exit(pnic_exit);

MODULE_DESCRIPTION("RDMA driver for the pnic device");
MODULE_AUTHOR("The peermr authors");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
