// SPDX-License-Identifier: GPL-2.0-only
/*
 * Doorbell pages (section 4) and what user space maps: the status page, the kick page and its
 * context's own UARs. A UAR belongs to one context from its first slot to the context's end, so
 * no mapping of it is left when the device gets it back.
 */

#include <linux/mm.h>
#include <linux/slab.h>

#include "pnic_verbs.h"

static phys_addr_t pnic_doorbell_page(struct pnic_dev *dev, u32 page)
{
	return pci_resource_start(dev->pdev, PNIC_BAR_DOORBELL) +
	       (phys_addr_t)page * PNIC_PAGE_SIZE;
}

static struct pnic_mmap_entry *pnic_mmap_insert(struct pnic_ucontext *uctx, phys_addr_t phys)
{
	struct pnic_mmap_entry *entry;
	int err;

	entry = kzalloc_obj(*entry);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	entry->phys = phys;
	err = rdma_user_mmap_entry_insert(&uctx->ibucontext, &entry->rdma, PAGE_SIZE);
	if (err) {
		kfree(entry);
		return ERR_PTR(err);
	}
	return entry;
}

static void pnic_mmap_remove(struct pnic_mmap_entry *entry)
{
	if (!IS_ERR_OR_NULL(entry))
		rdma_user_mmap_entry_remove(&entry->rdma);
}

void pnic_mmap_free(struct rdma_user_mmap_entry *rdma_entry)
{
	kfree(container_of(rdma_entry, struct pnic_mmap_entry, rdma));
}

/* A new UAR, zeroed; uctx: whose it is, NULL for the kernel. */
struct pnic_uar *pnic_uar_alloc(struct pnic_dev *dev, struct pnic_ucontext *uctx)
{
	struct pnic_cmd cmd = { .hdr.opcode = PNIC_CMD_ALLOC_UAR };
	struct pnic_uar *uar;
	int err;

	uar = kzalloc_obj(*uar);
	if (!uar)
		return ERR_PTR(-ENOMEM);
	err = pnic_admin_create(dev, &cmd, &uar->index);
	if (err)
		goto err_free;
	/* Two contexts on one page would be a hole, whoever made it. */
	if (!uar->index || uar->index >= PNIC_NUM_UARS ||
	    test_and_set_bit(uar->index, dev->uars)) {
		pnic_kill(dev, "impossible UAR");
		err = -EIO;
		goto err_free;
	}
	if (uctx) {
		uar->mmap = pnic_mmap_insert(uctx, pnic_doorbell_page(dev, uar->index));
		if (IS_ERR(uar->mmap)) {
			err = PTR_ERR(uar->mmap);
			uar->mmap = NULL;
			pnic_uar_free(dev, uar);
			return ERR_PTR(err);
		}
	}
	return uar;

err_free:
	kfree(uar);
	return ERR_PTR(err);
}

/* Its slots must be unused, and its page mapped nowhere. */
void pnic_uar_free(struct pnic_dev *dev, struct pnic_uar *uar)
{
	pnic_mmap_remove(uar->mmap);
	clear_bit(uar->index, dev->uars); /* before the device may give it to the next context */
	pnic_admin_destroy(dev, PNIC_CMD_FREE_UAR, uar->index);
	kfree(uar);
}

/* Takes a free slot of a UAR and zeroes it: an earlier object's counts aren't for the next one. */
int pnic_slot_take(struct pnic_dev *dev, struct pnic_uar *uar, struct pnic_slot *slot)
{
	unsigned int index = find_first_zero_bit(uar->slots, PNIC_UAR_SLOTS);

	if (index >= PNIC_UAR_SLOTS)
		return -ENOSPC;
	__set_bit(index, uar->slots);
	slot->uar = uar;
	slot->index = index;
	writeq(0, pnic_slot_addr(dev, slot));
	return 0;
}

/* A slot in one of the context's UARs, in a new one if need be. */
int pnic_slot_alloc(struct pnic_dev *dev, struct pnic_ucontext *uctx, struct pnic_slot *slot)
{
	struct pnic_uar *uar;
	int err = -ENOSPC;

	mutex_lock(&uctx->lock);
	list_for_each_entry(uar, &uctx->uars, node) {
		err = pnic_slot_take(dev, uar, slot);
		if (!err)
			goto out;
	}
	uar = pnic_uar_alloc(dev, uctx);
	if (IS_ERR(uar)) {
		err = PTR_ERR(uar);
		goto out;
	}
	list_add(&uar->node, &uctx->uars);
	err = pnic_slot_take(dev, uar, slot);
out:
	mutex_unlock(&uctx->lock);
	return err;
}

void pnic_slot_free(struct pnic_ucontext *uctx, struct pnic_slot *slot)
{
	mutex_lock(&uctx->lock);
	__clear_bit(slot->index, slot->uar->slots);
	mutex_unlock(&uctx->lock);
	slot->uar = NULL;
}

void __iomem *pnic_slot_addr(struct pnic_dev *dev, const struct pnic_slot *slot)
{
	return dev->doorbells + (size_t)slot->uar->index * PNIC_PAGE_SIZE +
	       slot->index * PNIC_UAR_SLOT_SIZE;
}

u64 pnic_slot_mmap_offset(const struct pnic_slot *slot)
{
	return rdma_user_mmap_get_offset(&slot->uar->mmap->rdma);
}

/* After a store to a slot: wakes the device if it sleeps. */
void pnic_kick(struct pnic_dev *dev)
{
	mb(); /* the slot before armed; pairs with the device's fence between armed and the slots */
	if (readl(dev->doorbells + offsetof(struct pnic_status_page, armed)))
		writel(1, dev->regs + PNIC_KICK_OFFSET);
}

int pnic_alloc_ucontext(struct ib_ucontext *ibuctx, struct ib_udata *udata)
{
	struct pnic_ucontext *uctx = to_pnic_ucontext(ibuctx);
	struct pnic_dev *dev = to_pnic(ibuctx->device);
	struct pnic_ib_alloc_ucontext_resp resp = {
		.features = dev->caps.features,
		.max_inline = dev->caps.max_inline,
		.max_sge = dev->caps.max_sge,
		.max_qp_wr = dev->caps.max_qp_wr,
		.max_cqe = dev->caps.max_cqe,
	};
	phys_addr_t kick = pci_resource_start(dev->pdev, PNIC_BAR_REGS) + PNIC_KICK_OFFSET;
	int err;

	if (udata->outlen < sizeof(resp))
		return -EINVAL;
	err = ib_is_udata_in_empty(udata);
	if (err)
		return err;

	mutex_init(&uctx->lock);
	INIT_LIST_HEAD(&uctx->uars);
	uctx->status = pnic_status_create(pnic_doorbell_page(dev, 0));
	if (IS_ERR(uctx->status))
		return PTR_ERR(uctx->status);
	uctx->status_page = pnic_mmap_insert(uctx, pnic_doorbell_page(dev, 0));
	if (IS_ERR(uctx->status_page)) {
		err = PTR_ERR(uctx->status_page);
		goto err_status;
	}
	uctx->kick_page = pnic_mmap_insert(uctx, kick);
	if (IS_ERR(uctx->kick_page)) {
		err = PTR_ERR(uctx->kick_page);
		goto err_status_page;
	}
	resp.status_page = rdma_user_mmap_get_offset(&uctx->status_page->rdma);
	resp.kick_page = rdma_user_mmap_get_offset(&uctx->kick_page->rdma);
	err = ib_respond_udata(udata, resp);
	if (err)
		goto err_kick;
	return 0;

err_kick:
	pnic_mmap_remove(uctx->kick_page);
err_status_page:
	pnic_mmap_remove(uctx->status_page);
err_status:
	pnic_status_end(uctx->status);
	return err;
}

void pnic_dealloc_ucontext(struct ib_ucontext *ibuctx)
{
	struct pnic_ucontext *uctx = to_pnic_ucontext(ibuctx);
	struct pnic_dev *dev = to_pnic(ibuctx->device);
	struct pnic_uar *uar, *next;

	list_for_each_entry_safe(uar, next, &uctx->uars, node)
		pnic_uar_free(dev, uar);
	pnic_mmap_remove(uctx->kick_page);
	pnic_mmap_remove(uctx->status_page);
	pnic_status_end(uctx->status);
	mutex_destroy(&uctx->lock);
}

/*
 * Nothing to do: the core has taken away the mappings, and pnic_dealloc_ucontext() comes next. Its
 * presence lets clients outlive us.
 */
void pnic_disassociate_ucontext(struct ib_ucontext *ibuctx)
{
}

int pnic_mmap(struct ib_ucontext *ibuctx, struct vm_area_struct *vma)
{
	struct pnic_ucontext *uctx = to_pnic_ucontext(ibuctx);
	struct rdma_user_mmap_entry *rdma_entry;
	struct pnic_mmap_entry *entry;
	int err;

	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	rdma_entry = rdma_user_mmap_entry_get(ibuctx, vma);
	if (!rdma_entry)
		return -EINVAL;
	entry = container_of(rdma_entry, struct pnic_mmap_entry, rdma);
	vm_flags_clear(vma, VM_MAYEXEC);
	if (entry == uctx->status_page)
		err = pnic_status_mmap(uctx->status, vma);
	else
		err = rdma_user_mmap_io(ibuctx, vma, PHYS_PFN(entry->phys), PAGE_SIZE,
					pgprot_noncached(vma->vm_page_prot), rdma_entry);
	rdma_user_mmap_entry_put(rdma_entry);
	return err;
}
