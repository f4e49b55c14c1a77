// SPDX-License-Identifier: GPL-2.0-only
/* Objects by the device's number for them, looked up by interrupt handlers. */

#include "pnic.h"

void pnic_table_init(struct xarray *table)
{
	xa_init_flags(table, XA_FLAGS_LOCK_IRQ);
}

/*
 * Makes an object known to event handlers. The number is the device's choice: one that is in use
 * already (EBUSY) is the device's fault, and the caller has to give up the object.
 */
int pnic_handle_publish(struct xarray *table, u32 id, struct pnic_handle *handle)
{
	refcount_set(&handle->refs, 1);
	init_completion(&handle->unused);
	return xa_insert_irq(table, id, handle, GFP_KERNEL);
}

/* Any context. NULL: no such object, or it is being destroyed. */
struct pnic_handle *pnic_handle_find(struct xarray *table, u32 id)
{
	struct pnic_handle *handle;
	unsigned long flags;

	xa_lock_irqsave(table, flags);
	handle = xa_load(table, id);
	if (handle && !refcount_inc_not_zero(&handle->refs))
		handle = NULL;
	xa_unlock_irqrestore(table, flags);
	return handle;
}

void pnic_handle_put(struct pnic_handle *handle)
{
	if (refcount_dec_and_test(&handle->refs))
		complete(&handle->unused);
}

/* Sleeps until no event handler uses the object. */
void pnic_handle_retire(struct xarray *table, u32 id, struct pnic_handle *handle)
{
	xa_erase_irq(table, id);
	pnic_handle_put(handle);
	wait_for_completion(&handle->unused);
}
