// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI driver: probe and remove.
 *
 * Devices are bound to it by driver_override, as to vfio-pci. There is no module
 * alias: tools that look for the most fitting VFIO driver of a device must not
 * come upon this one unasked.
 */

#include <linux/module.h>

#include "internal.h"

static bool enable_sriov;
module_param(enable_sriov, bool, 0644);
MODULE_PARM_DESC(enable_sriov, "Let sysfs create virtual functions of bound devices");

struct peermr_vfio *peermr_vfio_of(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = pci_get_drvdata(pdev);

	return container_of(core, struct peermr_vfio, core);
}

/* For delegated buffers. */
static const struct vfio_pci_device_ops peermr_vfio_pci_ops = {
	.get_dmabuf_phys = vfio_pci_core_get_dmabuf_phys,
};

static int peermr_vfio_probe(struct pci_dev *pdev,
			     const struct pci_device_id *id)
{
	struct peermr_vfio *pv;
	int err;

	pv = vfio_alloc_device(peermr_vfio, core.vdev, &pdev->dev,
			       &peermr_vfio_ops);
	if (IS_ERR(pv))
		return PTR_ERR(pv);
	mutex_init(&pv->change);
	mutex_init(&pv->settle);
	init_rwsem(&pv->access);
	init_rwsem(&pv->fault);
	pv->core.pci_ops = &peermr_vfio_pci_ops;
	pv->exporter = peermr_exporter_create(pdev);
	if (IS_ERR(pv->exporter)) {
		err = PTR_ERR(pv->exporter);
		goto err_put_device;
	}
	peermr_exporter_offer(pv->exporter, PEERMR_EXPORT_DELEGATE);
	pci_set_drvdata(pdev, &pv->core);
	err = peermr_vfio_register(pv);
	if (err)
		goto err_put_exporter;
	return 0;

err_put_exporter:
	peermr_exporter_put(pv->exporter);
err_put_device:
	vfio_put_device(&pv->core.vdev);
	return err;
}

static void peermr_vfio_remove(struct pci_dev *pdev)
{
	struct peermr_vfio *pv = peermr_vfio_of(pdev);

	/* First, since the core waits for the user, who may not care. */
	peermr_exporter_revoke(pv->exporter, PEERMR_WHY_REMOVED, false);
	peermr_vfio_unregister(pv);
	peermr_exporter_put(pv->exporter);
	vfio_put_device(&pv->core.vdev);
}

static int peermr_vfio_sriov_configure(struct pci_dev *pdev, int nr_virtfn)
{
	struct peermr_vfio *pv = peermr_vfio_of(pdev);
	int ret;

	if (!enable_sriov)
		return -ENOENT;
	ret = vfio_pci_core_sriov_configure(&pv->core, nr_virtfn);
	/* It may have woken the device. */
	peermr_vfio_settle(pv, false);
	return ret;
}

static const struct pci_device_id peermr_vfio_table[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{}
};

static struct pci_driver peermr_vfio_driver = {
	.name = "peermr_vfio",
	.id_table = peermr_vfio_table,
	.probe = peermr_vfio_probe,
	.remove = peermr_vfio_remove,
	.sriov_configure = peermr_vfio_sriov_configure,
	.err_handler = &peermr_vfio_err_handlers,
	.dev_groups = peermr_vfio_groups,
	.driver_managed_dma = true,
};
module_pci_driver(peermr_vfio_driver);

MODULE_DESCRIPTION("VFIO PCI driver whose dma-bufs can be taken back");
MODULE_LICENSE("GPL");
