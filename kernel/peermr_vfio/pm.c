// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power management that the user did not ask for: run-time suspend and wake-up,
 * and the system's sleep.
 *
 * The core sets the driver's operations whenever a device is registered. Ours
 * replace them right after and call them; a wake-up that came in between is made
 * up for by settling all devices then.
 */

#include <linux/list.h>
#include <linux/pm.h>
#include <linux/pm_runtime.h>

#include "internal.h"

/* Protects the list of bound devices, and the replacement of operations. */
static DEFINE_MUTEX(peermr_vfio_pm_lock);
static LIST_HEAD(peermr_vfio_devices);
static const struct dev_pm_ops *peermr_vfio_core_pm;

static struct peermr_vfio *peermr_vfio_of_device(struct device *dev)
{
	return peermr_vfio_of(to_pci_dev(dev));
}

#ifdef CONFIG_PM
static int peermr_vfio_runtime_suspend(struct device *dev)
{
	struct peermr_vfio *pv = peermr_vfio_of_device(dev);
	int err;

	peermr_exporter_revoke(pv->exporter, PEERMR_WHY_POWER, false);
	err = READ_ONCE(peermr_vfio_core_pm)->runtime_suspend(dev);
	if (err)
		peermr_exporter_restore(pv->exporter, PEERMR_WHY_POWER);
	return err;
}

/* The core may leave low power here, without telling anyone. */
static int peermr_vfio_runtime_resume(struct device *dev)
{
	struct peermr_vfio *pv = peermr_vfio_of_device(dev);
	int err;

	err = READ_ONCE(peermr_vfio_core_pm)->runtime_resume(dev);
	if (err)
		return err;
	peermr_vfio_settle(pv, false);
	peermr_exporter_restore(pv->exporter, PEERMR_WHY_POWER);
	return 0;
}
#endif

#ifdef CONFIG_PM_SLEEP
/* Before anything is suspended, so that importers still can let go. */
static int peermr_vfio_prepare(struct device *dev)
{
	struct peermr_vfio *pv = peermr_vfio_of_device(dev);

	if (peermr_exporter_revoke(pv->exporter, PEERMR_WHY_SUSPEND, true))
		return -EINTR;
	return 0;
}

/* After everything is resumed; also when prepare() of another one failed. */
static void peermr_vfio_complete(struct device *dev)
{
	struct peermr_vfio *pv = peermr_vfio_of_device(dev);

	peermr_vfio_settle(pv, false);
	peermr_exporter_restore(pv->exporter, PEERMR_WHY_SUSPEND);
}
#endif

static const struct dev_pm_ops peermr_vfio_pm_ops = {
#ifdef CONFIG_PM_SLEEP
	.prepare = peermr_vfio_prepare,
	.complete = peermr_vfio_complete,
#endif
	SET_RUNTIME_PM_OPS(peermr_vfio_runtime_suspend,
			   peermr_vfio_runtime_resume, NULL)
};

/* What our runtime_resume() would have done, if the device is awake. */
void peermr_vfio_catch_up(struct peermr_vfio *pv)
{
	if (!pm_runtime_active(&pv->core.pdev->dev))
		return;
	peermr_vfio_settle(pv, false);
	peermr_exporter_restore(pv->exporter, PEERMR_WHY_POWER);
}

int peermr_vfio_register(struct peermr_vfio *pv)
{
	struct device_driver *driver = pv->core.pdev->dev.driver;
	struct peermr_vfio *other;
	int err;

	mutex_lock(&peermr_vfio_pm_lock);
	err = vfio_pci_core_register_device(&pv->core);
	/* It sets them before it can fail, or not at all. */
	if (driver->pm && driver->pm != &peermr_vfio_pm_ops) {
		WRITE_ONCE(peermr_vfio_core_pm, driver->pm);
		driver->pm = &peermr_vfio_pm_ops;
	}
	if (!err)
		list_add(&pv->node, &peermr_vfio_devices);
	list_for_each_entry(other, &peermr_vfio_devices, node)
		peermr_vfio_catch_up(other);
	mutex_unlock(&peermr_vfio_pm_lock);
	return err;
}

void peermr_vfio_unregister(struct peermr_vfio *pv)
{
	mutex_lock(&peermr_vfio_pm_lock);
	list_del(&pv->node);
	mutex_unlock(&peermr_vfio_pm_lock);
	vfio_pci_core_unregister_device(&pv->core);
}
