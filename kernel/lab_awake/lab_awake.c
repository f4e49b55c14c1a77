// SPDX-License-Identifier: GPL-2.0-only
/*
 * For guests of the lab only: lets them go through a system suspend.
 *
 * The kernel's 9p transport over virtio has no suspend and resume. A suspend
 * resets its device, and everything that a guest of the lab reads or writes
 * through 9p hangs from then on: its programs and its results. While this
 * module is loaded, system sleep passes over these devices. That is right as
 * long as their state survives the sleep: in suspend to idle, and in the tests
 * of /sys/power/pm_test.
 */
#include <linux/module.h>
#include <linux/pci.h>

#define LAB_VIRTIO_VENDOR	0x1af4
#define LAB_VIRTIO_9P_LEGACY	0x1009
#define LAB_VIRTIO_9P		0x1049

static int lab_awake_set(unsigned int device, bool awake)
{
	struct pci_dev *pdev = NULL;
	int count = 0;

	while ((pdev = pci_get_device(LAB_VIRTIO_VENDOR, device, pdev))) {
		device_lock(&pdev->dev);
		dev_pm_syscore_device(&pdev->dev, awake);
		device_unlock(&pdev->dev);
		count++;
	}
	return count;
}

static int __init lab_awake_init(void)
{
	int count = lab_awake_set(LAB_VIRTIO_9P_LEGACY, true) +
		    lab_awake_set(LAB_VIRTIO_9P, true);

	return count ? 0 : -ENODEV;
}

static void __exit lab_awake_exit(void)
{
	lab_awake_set(LAB_VIRTIO_9P_LEGACY, false);
	lab_awake_set(LAB_VIRTIO_9P, false);
}

module_init(lab_awake_init);
module_exit(lab_awake_exit);

MODULE_DESCRIPTION("Keeps 9p alive through a system suspend in the lab");
MODULE_LICENSE("GPL");
