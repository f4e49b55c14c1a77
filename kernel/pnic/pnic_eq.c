// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event queues (section 7): one for asynchronous events, which must be the first one created, and
 * one for each completion vector. They are consumed by their interrupt handlers.
 */

#include <linux/dma-mapping.h>
#include <linux/interrupt.h>

#include "pnic_verbs.h"

static void pnic_eq_completion(struct pnic_dev *dev, u32 cqn)
{
	struct pnic_handle *handle = pnic_handle_find(&dev->cqs, cqn);
	struct pnic_cq *cq;

	/* Not found: destroyed since, its last event was still in the ring. */
	if (!handle)
		return;
	cq = container_of(handle, struct pnic_cq, handle);
	cq->ibcq.comp_handler(&cq->ibcq, cq->ibcq.cq_context);
	pnic_handle_put(handle);
}

static void pnic_eq_cq_error(struct pnic_dev *dev, u32 cqn)
{
	struct pnic_handle *handle = pnic_handle_find(&dev->cqs, cqn);
	struct ib_event event = { .event = IB_EVENT_CQ_ERR, .device = &dev->ibdev };
	struct pnic_cq *cq;

	if (!handle)
		return;
	cq = container_of(handle, struct pnic_cq, handle);
	event.element.cq = &cq->ibcq;
	if (cq->ibcq.event_handler)
		cq->ibcq.event_handler(&event, cq->ibcq.cq_context);
	pnic_handle_put(handle);
}

static void pnic_eq_qp(struct pnic_dev *dev, u32 qpn, u16 code)
{
	static const enum ib_event_type types[] = {
		[PNIC_QP_EVENT_FATAL] = IB_EVENT_QP_FATAL,
		[PNIC_QP_EVENT_REQ_ERR] = IB_EVENT_QP_REQ_ERR,
		[PNIC_QP_EVENT_ACCESS_ERR] = IB_EVENT_QP_ACCESS_ERR,
		[PNIC_QP_EVENT_COMM_EST] = IB_EVENT_COMM_EST,
	};
	struct ib_event event = { .device = &dev->ibdev };
	struct pnic_handle *handle;
	struct pnic_qp *qp;

	if (code < PNIC_QP_EVENT_FATAL || code >= ARRAY_SIZE(types)) {
		dev_err_ratelimited(&dev->pdev->dev, "unknown event 0x%x of QP %u\n", code, qpn);
		return;
	}
	handle = pnic_handle_find(&dev->qps, qpn);
	if (!handle)
		return;
	qp = container_of(handle, struct pnic_qp, handle);
	event.event = types[code];
	event.element.qp = &qp->ibqp;
	if (qp->ibqp.event_handler)
		qp->ibqp.event_handler(&event, qp->ibqp.qp_context);
	pnic_handle_put(handle);
}

static void pnic_eq_port(struct pnic_dev *dev, u16 code)
{
	struct ib_event event = { .device = &dev->ibdev, .element.port_num = 1 };
	unsigned long flags;

	if (code != PNIC_PORT_DOWN && code != PNIC_PORT_ACTIVE) {
		dev_err_ratelimited(&dev->pdev->dev, "unknown port state %u\n", code);
		return;
	}
	WRITE_ONCE(dev->caps.port_state, code);
	event.event = code == PNIC_PORT_ACTIVE ? IB_EVENT_PORT_ACTIVE : IB_EVENT_PORT_ERR;
	spin_lock_irqsave(&dev->state_lock, flags);
	if (dev->registered)
		ib_dispatch_event(&event);
	spin_unlock_irqrestore(&dev->state_lock, flags);
}

static void pnic_eq_dispatch(struct pnic_dev *dev, const struct pnic_eqe *eqe)
{
	u32 object = le32_to_cpu(eqe->object);
	u16 code = le16_to_cpu(eqe->code);

	switch (eqe->type) {
	case PNIC_EVENT_COMPLETION:
		pnic_eq_completion(dev, object);
		break;
	case PNIC_EVENT_CQ_ERROR:
		pnic_eq_cq_error(dev, object);
		break;
	case PNIC_EVENT_QP:
		pnic_eq_qp(dev, object, code);
		break;
	case PNIC_EVENT_MR_FAULT:
		pnic_mr_fault(dev, object);
		break;
	case PNIC_EVENT_PORT:
		pnic_eq_port(dev, code);
		break;
	case PNIC_EVENT_FATAL:
		dev_err(&dev->pdev->dev, "fatal event, reason %u\n", code);
		pnic_kill(dev, "device has failed");
		break;
	default:
		dev_err_ratelimited(&dev->pdev->dev, "unknown event type %u\n", eqe->type);
	}
}

/* One store tells the device how far we are and that the next event shall interrupt (section 4). */
static void pnic_eq_arm(struct pnic_eq *eq)
{
	u32 arm = ++eq->arm_seq << PNIC_ARM_SEQ_SHIFT | PNIC_ARM_ANY;

	writeq((u64)arm << 32 | eq->ci, pnic_slot_addr(eq->dev, &eq->slot));
	pnic_kick(eq->dev);
}

static irqreturn_t pnic_eq_irq(int irq, void *data)
{
	struct pnic_eq *eq = data;
	struct pnic_eqe eqe;
	unsigned int budget;

	/* What is left over after a full ring raises an interrupt at once when armed. */
	for (budget = PNIC_EQ_ENTRIES; budget; budget--) {
		struct pnic_eqe *entry = &eq->ring[eq->ci & (PNIC_EQ_ENTRIES - 1)];
		u8 phase = !(eq->ci >> PNIC_EQ_LOG & 1);

		if ((READ_ONCE(entry->flags) & PNIC_EQE_PHASE) != phase)
			break;
		dma_rmb(); /* the phase is written last */
		memcpy(&eqe, entry, sizeof(eqe));
		barrier(); /* from here on our copy, which the device can't change */
		eq->ci++;
		pnic_eq_dispatch(eq->dev, &eqe);
	}
	if (!pnic_is_dead(eq->dev))
		pnic_eq_arm(eq);
	return IRQ_HANDLED;
}

static int pnic_eq_create(struct pnic_dev *dev, struct pnic_eq *eq, unsigned int vector)
{
	struct pnic_cmd cmd = { .hdr.opcode = PNIC_CMD_CREATE_EQ };
	struct pnic_cmd_create_eq *create = &cmd.u.create_eq;
	int err;

	eq->dev = dev;
	err = pnic_slot_take(dev, dev->kernel_uar, &eq->slot);
	if (err)
		return err;
	eq->ring = dma_alloc_coherent(&dev->pdev->dev, PNIC_EQ_BYTES, &eq->ring_dma, GFP_KERNEL);
	if (!eq->ring)
		return -ENOMEM; /* the slot goes with its UAR */

	create->vector = cpu_to_le32(vector);
	create->uar = cpu_to_le32(eq->slot.uar->index);
	create->slot = cpu_to_le32(eq->slot.index);
	create->log_size = PNIC_EQ_LOG;
	create->pages.addr = cpu_to_le64(eq->ring_dma);
	create->pages.num_pages = cpu_to_le32(1);
	create->pages.page_shift = PNIC_PAGE_SHIFT;
	BUILD_BUG_ON(PNIC_EQ_BYTES > PNIC_PAGE_SIZE);
	err = pnic_admin_create(dev, &cmd, &eq->eqn);
	if (err)
		goto err_free;

	snprintf(eq->irq_name, sizeof(eq->irq_name), "pnic-%s@%s",
		 vector == PNIC_ASYNC_VECTOR ? "async" : "comp", pci_name(dev->pdev));
	eq->irq = pci_irq_vector(dev->pdev, vector);
	err = request_irq(eq->irq, pnic_eq_irq, 0, eq->irq_name, eq);
	if (err)
		goto err_destroy;
	/* The handler can't have run: the device interrupts for armed EQs only. */
	pnic_eq_arm(eq);
	return 0;

err_destroy:
	pnic_admin_destroy(dev, PNIC_CMD_DESTROY_EQ, eq->eqn);
err_free:
	dma_free_coherent(&dev->pdev->dev, PNIC_EQ_BYTES, eq->ring, eq->ring_dma);
	eq->ring = NULL;
	return err;
}

static void pnic_eq_destroy(struct pnic_dev *dev, struct pnic_eq *eq)
{
	if (!eq->ring)
		return;
	pnic_admin_destroy(dev, PNIC_CMD_DESTROY_EQ, eq->eqn);
	free_irq(eq->irq, eq);
	dma_free_coherent(&dev->pdev->dev, PNIC_EQ_BYTES, eq->ring, eq->ring_dma);
	eq->ring = NULL;
}

int pnic_eqs_create(struct pnic_dev *dev)
{
	unsigned int i;
	int err;

	dev->kernel_uar = pnic_uar_alloc(dev, NULL);
	if (IS_ERR(dev->kernel_uar)) {
		err = PTR_ERR(dev->kernel_uar);
		dev->kernel_uar = NULL;
		return err;
	}
	dev->comp_eqs = kzalloc_objs(*dev->comp_eqs, dev->num_comp_eqs);
	if (!dev->comp_eqs) {
		err = -ENOMEM;
		goto err_destroy;
	}
	err = pnic_eq_create(dev, &dev->async_eq, PNIC_ASYNC_VECTOR);
	for (i = 0; !err && i < dev->num_comp_eqs; i++)
		err = pnic_eq_create(dev, &dev->comp_eqs[i], PNIC_FIRST_COMP_VECTOR + i);
	if (err)
		goto err_destroy;
	return 0;

err_destroy:
	pnic_eqs_destroy(dev);
	return err;
}

void pnic_eqs_destroy(struct pnic_dev *dev)
{
	unsigned int i;

	for (i = 0; dev->comp_eqs && i < dev->num_comp_eqs; i++)
		pnic_eq_destroy(dev, &dev->comp_eqs[i]);
	pnic_eq_destroy(dev, &dev->async_eq);
	kfree(dev->comp_eqs);
	dev->comp_eqs = NULL;
	if (dev->kernel_uar)
		pnic_uar_free(dev, dev->kernel_uar);
	dev->kernel_uar = NULL;
}
