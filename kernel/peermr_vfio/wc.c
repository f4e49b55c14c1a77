// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-combining BARs.
 *
 * The kernel's own mapping of a BAR decides how all others can be cached, and
 * the core's is uncached. Where the administrator asks for it, we put a
 * write-combining one in its place when the device is opened, before anybody can
 * use it. What user space maps of that BAR, through the VFIO descriptor too, is
 * write-combining then.
 */

#include <linux/device.h>
#include <linux/io.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>

#ifdef CONFIG_X86
#include <asm/memtype.h>
#endif

#include "internal.h"

/* Without a page attribute table, write-combining is silently uncached. */
static bool peermr_vfio_can_combine(void)
{
#ifdef CONFIG_X86
	return pat_enabled();
#else
	return true;
#endif
}

static bool peermr_vfio_may_combine(struct pci_dev *pdev, int bar)
{
	const unsigned long wanted = IORESOURCE_MEM | IORESOURCE_PREFETCH;

	return (pci_resource_flags(pdev, bar) & wanted) == wanted;
}

/* Maps the BAR anew. Whether it is write-combining now. */
static bool peermr_vfio_remap(struct vfio_pci_core_device *core, int bar)
{
	struct pci_dev *pdev = core->pdev;
	void __iomem *map;
	bool combining;

	/* Two mappings of different kinds can't be at the same time. */
	pci_iounmap(pdev, core->barmap[bar]);
	map = pci_iomap_wc(pdev, bar, 0);
	combining = map;
	if (!map)
		map = pci_iomap(pdev, bar, 0);
	if (!map) {
		pci_release_selected_regions(pdev, BIT(bar));
		core->barmap[bar] = IOMEM_ERR_PTR(-ENOMEM);
		return false;
	}
	core->barmap[bar] = map;
	return combining;
}

u32 peermr_vfio_combine(struct peermr_vfio *pv)
{
	struct vfio_pci_core_device *core = &pv->core;
	unsigned long wanted = READ_ONCE(pv->wc_bars);
	u32 combining = 0;
	int bar;

	for_each_set_bit(bar, &wanted, PCI_STD_NUM_BARS) {
		if (IS_ERR_OR_NULL(core->barmap[bar]))
			continue;
		if (peermr_vfio_can_combine() && peermr_vfio_remap(core, bar))
			combining |= BIT(bar);
		else
			pci_warn(core->pdev,
				 "BAR %d can't be mapped write-combining\n", bar);
	}
	return combining;
}

static ssize_t peermr_wc_bars_show(struct device *dev,
				   struct device_attribute *attr, char *buf)
{
	struct peermr_vfio *pv = peermr_vfio_of(to_pci_dev(dev));

	return sysfs_emit(buf, "0x%x\n", READ_ONCE(pv->wc_bars));
}

/* For the next time that the device is opened. */
static ssize_t peermr_wc_bars_store(struct device *dev,
				    struct device_attribute *attr,
				    const char *buf, size_t count)
{
	struct pci_dev *pdev = to_pci_dev(dev);
	struct peermr_vfio *pv = peermr_vfio_of(pdev);
	unsigned long bars;
	u32 mask;
	int bar, err;

	err = kstrtou32(buf, 0, &mask);
	if (err)
		return err;
	if (mask >= BIT(PCI_STD_NUM_BARS))
		return -EINVAL;
	bars = mask;
	for_each_set_bit(bar, &bars, PCI_STD_NUM_BARS)
		if (!peermr_vfio_may_combine(pdev, bar))
			return -EINVAL;

	mutex_lock(&pv->settle);
	if (pv->is_open)
		err = -EBUSY;
	else
		WRITE_ONCE(pv->wc_bars, mask);
	mutex_unlock(&pv->settle);
	return err ?: count;
}
static DEVICE_ATTR_RW(peermr_wc_bars);

static struct attribute *peermr_vfio_attrs[] = {
	&dev_attr_peermr_wc_bars.attr,
	NULL
};

static const struct attribute_group peermr_vfio_group = {
	.attrs = peermr_vfio_attrs,
};

const struct attribute_group *peermr_vfio_groups[] = {
	&peermr_vfio_group,
	NULL
};
