// SPDX-License-Identifier: GPL-2.0-only
/*
 * One life of a device: from bring-up (section 3) to the next reset, unbind or failure. A reset
 * ends a struct pnic_dev and begins another one, since an ib_device can't be registered twice.
 */

#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/iopoll.h>

#include "pnic_verbs.h"

#define PNIC_POLL_US		1000
#define PNIC_ENABLE_TIMEOUT_US	(5 * USEC_PER_SEC)	/* it has 1 s; the machine may be slow */

/* Under state_lock: clients of a registered device hear that it is dead. */
static void pnic_report_death(struct pnic_dev *dev)
{
	struct ib_event event = {
		.event = IB_EVENT_DEVICE_FATAL,
		.device = &dev->ibdev,
		.element.port_num = 1,
	};

	if (dev->dead && dev->registered)
		ib_dispatch_event(&event);
}

/*
 * Ends all activity of the device, for good: bus mastering off is a fence (section 2). Commands
 * fail at once from here on, so that memory can be given back without asking the device. Any
 * context, any number of times; on return the device is dead, whoever killed it.
 */
void pnic_kill(struct pnic_dev *dev, const char *why)
{
	unsigned long flags;
	bool killed = false;

	spin_lock_irqsave(&dev->state_lock, flags);
	if (!dev->dead) {
		pci_clear_master(dev->pdev);
		smp_store_release(&dev->dead, true); /* not before the fence; see pnic_is_dead() */
		killed = true;
		pnic_report_death(dev);
	}
	spin_unlock_irqrestore(&dev->state_lock, flags);
	if (!killed)
		return;
	dev_warn(&dev->pdev->dev, "stopped: %s\n", why);
	pnic_admin_abort(dev);
}

static int pnic_wait_status(struct pnic_dev *dev, u32 wanted)
{
	u32 status;
	int err;

	err = readl_poll_timeout(dev->regs + PNIC_REG_STATUS, status,
				 status == wanted || status & PNIC_STATUS_FATAL, PNIC_POLL_US,
				 PNIC_ENABLE_TIMEOUT_US);
	if (status == U32_MAX)
		return -ENODEV;
	if (status & PNIC_STATUS_FATAL && wanted) {
		dev_err(&dev->pdev->dev, "bring-up failed, status 0x%x\n", status);
		return -EIO;
	}
	if (err)
		dev_err(&dev->pdev->dev, "status is 0x%x instead of 0x%x\n", status, wanted);
	return err;
}

/* Resets the device. When done nothing is in flight and it knows no objects. */
static int pnic_disable(struct pnic_dev *dev)
{
	u32 status;

	pnic_write(dev, PNIC_REG_CTRL, 0);
	return readl_poll_timeout(dev->regs + PNIC_REG_STATUS, status, !status, PNIC_POLL_US,
				  PNIC_ENABLE_TIMEOUT_US);
}

static int pnic_check_version(struct pnic_dev *dev)
{
	u32 magic = pnic_read(dev, PNIC_REG_MAGIC);
	u32 version = pnic_read(dev, PNIC_REG_VERSION);

	if (magic != PNIC_MAGIC) {
		dev_err(&dev->pdev->dev, "not a pnic: magic is 0x%08x\n", magic);
		return -ENODEV;
	}
	if (version >> 16 != PNIC_VERSION_MAJOR) {
		dev_err(&dev->pdev->dev, "interface version %u.%u, this driver knows %u.x\n",
			version >> 16, version & 0xffff, PNIC_VERSION_MAJOR);
		return -ENODEV;
	}
	return 0;
}

static int pnic_enable(struct pnic_dev *dev)
{
	struct pnic_admin *admin = &dev->admin;
	int err;

	err = pnic_disable(dev);
	if (err)
		return err;
	pnic_write(dev, PNIC_REG_ASQ_BASE_LO, lower_32_bits(admin->sq_dma));
	pnic_write(dev, PNIC_REG_ASQ_BASE_HI, upper_32_bits(admin->sq_dma));
	pnic_write(dev, PNIC_REG_ACQ_BASE_LO, lower_32_bits(admin->cq_dma));
	pnic_write(dev, PNIC_REG_ACQ_BASE_HI, upper_32_bits(admin->cq_dma));
	pnic_write(dev, PNIC_REG_ADMIN_SIZE, PNIC_ADMIN_LOG);
	pnic_write(dev, PNIC_REG_ADMIN_VECTOR, PNIC_ADMIN_VECTOR);
	pnic_write(dev, PNIC_REG_CTRL, PNIC_CTRL_ENABLE);
	return pnic_wait_status(dev, PNIC_STATUS_READY);
}

static int pnic_query_caps(struct pnic_dev *dev)
{
	struct pnic_caps *caps = &dev->caps;
	struct pnic_device_attr attr;
	int err;

	caps->features = pnic_read(dev, PNIC_REG_FEATURES_LO) |
			 (u64)pnic_read(dev, PNIC_REG_FEATURES_HI) << 32;
	err = pnic_admin_query(dev, PNIC_CMD_QUERY_DEVICE, 0, &attr, sizeof(attr));
	if (err)
		return err;

	/* Counts of objects are int in the kernel; the rest has limits of the interface. */
	caps->node_guid = le64_to_cpu(attr.node_guid);
	caps->fw_version = le64_to_cpu(attr.fw_version);
	caps->max_mr_size = le64_to_cpu(attr.max_mr_size);
	caps->max_mr = min_t(u32, le32_to_cpu(attr.max_mr), INT_MAX);
	caps->max_pd = min_t(u32, le32_to_cpu(attr.max_pd), INT_MAX);
	caps->max_cq = min_t(u32, le32_to_cpu(attr.max_cq), INT_MAX);
	caps->max_qp = min_t(u32, le32_to_cpu(attr.max_qp), INT_MAX);
	caps->max_eq = min_t(u32, le32_to_cpu(attr.max_eq), INT_MAX);
	caps->max_cqe = min_t(u32, le32_to_cpu(attr.max_cqe), BIT(PNIC_CQ_LOG_MAX));
	caps->max_qp_wr = min_t(u32, le32_to_cpu(attr.max_qp_wr), BIT(PNIC_QP_LOG_MAX));
	caps->max_sge = min_t(u32, le32_to_cpu(attr.max_sge), PNIC_MAX_SGE);
	caps->max_inline = min_t(u32, le32_to_cpu(attr.max_inline), PNIC_MAX_INLINE);
	caps->max_rd_atomic = min_t(u32, le32_to_cpu(attr.max_rd_atomic), U8_MAX);
	caps->max_msg_size = min_t(u32, le32_to_cpu(attr.max_msg_size), PNIC_MAX_MSG_SIZE);
	caps->lid = le16_to_cpu(attr.lid);
	caps->port_state = attr.port_state == PNIC_PORT_ACTIVE ? PNIC_PORT_ACTIVE : PNIC_PORT_DOWN;
	caps->max_mtu = clamp_t(u8, attr.max_mtu, IB_MTU_256, IB_MTU_4096);
	caps->active_mtu = clamp_t(u8, attr.active_mtu, IB_MTU_256, caps->max_mtu);
	memcpy(caps->gid, attr.gid, sizeof(caps->gid));

	if (!(caps->features & PNIC_FEATURE_RC) || !caps->max_cqe || !caps->max_qp_wr ||
	    !caps->max_sge || !caps->lid || caps->max_eq < 2) {
		dev_err(&dev->pdev->dev, "the device can't be used: features 0x%llx, LID %u\n",
			caps->features, caps->lid);
		return -ENODEV;
	}
	return 0;
}

static int pnic_alloc_vectors(struct pnic_dev *dev)
{
	int vectors;

	vectors = pci_alloc_irq_vectors(dev->pdev, PNIC_FIRST_COMP_VECTOR + 1,
					min_t(unsigned int, PNIC_NUM_VECTORS,
					      PNIC_FIRST_COMP_VECTOR + num_online_cpus()),
					PCI_IRQ_MSIX);
	if (vectors < 0)
		return vectors;
	dev->num_vectors = vectors;
	return 0;
}

static int pnic_alloc_memory(struct pnic_dev *dev)
{
	struct device *ddev = &dev->pdev->dev;
	int err;

	err = pnic_admin_init(dev);
	if (err)
		return err;
	dev->answer = dma_alloc_coherent(ddev, PNIC_PAGE_SIZE, &dev->answer_dma, GFP_KERNEL);
	dev->page_blocks = dma_pool_create("pnic page lists", ddev, PNIC_PAGE_SIZE,
					   PNIC_PAGE_SIZE, 0);
	dev->fault_wq = alloc_workqueue("pnic-fault", WQ_UNBOUND, 0);
	if (!dev->answer || !dev->page_blocks || !dev->fault_wq)
		return -ENOMEM;
	return 0;
}

static void pnic_free_memory(struct pnic_dev *dev)
{
	if (dev->fault_wq)
		destroy_workqueue(dev->fault_wq);
	dma_pool_destroy(dev->page_blocks);
	if (dev->answer)
		dma_free_coherent(&dev->pdev->dev, PNIC_PAGE_SIZE, dev->answer, dev->answer_dma);
	pnic_admin_free(dev);
}

static int pnic_register(struct pnic_dev *dev)
{
	int err;

	pnic_ib_setup(dev);
	err = ib_register_device(&dev->ibdev, "pnic%d", &dev->pdev->dev);
	if (err)
		return err;
	spin_lock_irq(&dev->state_lock);
	dev->registered = true;
	pnic_report_death(dev); /* it may have died while the first clients came */
	spin_unlock_irq(&dev->state_lock);
	return 0;
}

/* From here on only the core tells clients, once, that the device is gone. */
static void pnic_stop_events(struct pnic_dev *dev)
{
	spin_lock_irq(&dev->state_lock);
	dev->registered = false;
	spin_unlock_irq(&dev->state_lock);
}

/* Stops DMA and interrupts, so that what they use can be freed. */
static void pnic_quiesce(struct pnic_dev *dev)
{
	if (!pnic_is_dead(dev) && pnic_disable(dev))
		pnic_kill(dev, "device doesn't stop");
	pci_clear_master(dev->pdev);
}

/*
 * Brings the device up and registers it. The function's BARs are mapped and stay so. Sleeps.
 * Returns the device, or an error with the function as it was before.
 */
struct pnic_dev *pnic_dev_start(struct pci_dev *pdev, void __iomem *regs,
				void __iomem *doorbells)
{
	struct pnic_dev *dev;
	int err;

	dev = ib_alloc_device(pnic_dev, ibdev);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->pdev = pdev;
	dev->regs = regs;
	dev->doorbells = doorbells;
	spin_lock_init(&dev->state_lock);
	mutex_init(&dev->answer_lock);
	pnic_table_init(&dev->cqs);
	pnic_table_init(&dev->qps);
	pnic_table_init(&dev->mrs);

	err = pnic_check_version(dev);
	if (err)
		goto err_dealloc;
	err = pnic_alloc_memory(dev);
	if (err)
		goto err_memory;
	err = pnic_alloc_vectors(dev);
	if (err)
		goto err_memory;
	snprintf(dev->admin_irq_name, sizeof(dev->admin_irq_name), "pnic-admin@%s", pci_name(pdev));
	err = request_irq(pci_irq_vector(pdev, PNIC_ADMIN_VECTOR), pnic_admin_irq, 0,
			  dev->admin_irq_name, dev);
	if (err)
		goto err_vectors;
	pci_set_master(pdev);
	err = pnic_enable(dev);
	if (err)
		goto err_quiesce;
	err = pnic_query_caps(dev);
	if (err)
		goto err_quiesce;
	dev->num_comp_eqs = min(dev->num_vectors - PNIC_FIRST_COMP_VECTOR, dev->caps.max_eq - 1);
	err = pnic_eqs_create(dev);
	if (err)
		goto err_quiesce;
	err = pnic_register(dev);
	if (err)
		goto err_eqs;
	pnic_debugfs_add(dev);
	return dev;

err_eqs:
	pnic_eqs_destroy(dev);
err_quiesce:
	pnic_quiesce(dev);
	free_irq(pci_irq_vector(pdev, PNIC_ADMIN_VECTOR), dev);
err_vectors:
	pci_free_irq_vectors(pdev);
err_memory:
	pnic_free_memory(dev);
err_dealloc:
	ib_dealloc_device(&dev->ibdev);
	return ERR_PTR(err);
}

/*
 * The end of a device. Clients get IB_EVENT_DEVICE_FATAL, their objects are destroyed, and they are
 * left with file descriptors that say EIO. Sleeps; with a device that has stopped answering not
 * longer than one command's timeout in all.
 *
 * why_kill: don't ask the device for anything any more, for this reason; NULL: it is alive.
 */
void pnic_dev_stop(struct pnic_dev *dev, const char *why_kill)
{
	pnic_stop_events(dev);
	if (why_kill)
		pnic_kill(dev, why_kill);
	pnic_debugfs_remove(dev);
	ib_unregister_device(&dev->ibdev);
	pnic_eqs_destroy(dev);
	pnic_quiesce(dev);
	free_irq(pci_irq_vector(dev->pdev, PNIC_ADMIN_VECTOR), dev);
	pci_free_irq_vectors(dev->pdev);
	pnic_free_memory(dev);
	WARN_ON(!xa_empty(&dev->cqs) || !xa_empty(&dev->qps) || !xa_empty(&dev->mrs));
	WARN_ON(!bitmap_empty(dev->uars, PNIC_NUM_UARS));
	ib_dealloc_device(&dev->ibdev);
}
