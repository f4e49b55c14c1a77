/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The exporter core: what a driver that owns a PCI device's memory calls, so that
 * the memory can be exported as dma-bufs and taken back. Module peermr_export.
 *
 * A driver says when the memory goes and when it is back; each reason it has for
 * that is a bit (PEERMR_WHY_*), and the memory is there while no bit is set. Two
 * reasons that overlap give the importers one revoke and one restore.
 *
 * Locks, outermost first: mmap_lock; VFIO's memory_lock; transition (a mutex of
 * the exporter, held while a revoke waits for importers); lock (a mutex of the
 * exporter, never held while waiting: protects reasons, the list of buffers, and
 * lets a buffer be made, asked and released while a revoke waits); dma_resv;
 * i_mmap. No function here takes a lock of its caller's.
 */
#ifndef PEERMR_EXPORTER_H
#define PEERMR_EXPORTER_H

#include <linux/pci.h>
#include <linux/types.h>

#include <peermr/peermr_export.h>

struct dma_buf;
struct kvm;
struct peermr_exporter;

/**
 * peermr_exporter_create() - an exporter for @pdev
 *
 * To be made at probe: sets up the device's P2P providers. Closed at first.
 * Returns the exporter, of which the caller holds the first reference, or
 * ERR_PTR. Put it in remove(), after the last user is gone: buffers hold
 * references of their own, and touch neither the device nor the caller after
 * peermr_exporter_close().
 */
struct peermr_exporter *peermr_exporter_create(struct pci_dev *pdev);
void peermr_exporter_put(struct peermr_exporter *exporter);

/**
 * peermr_exporter_open() - buffers can be made from now on
 * @claimed: bit n: BAR n's resource is claimed by the caller
 * @combining: bit n: BAR n's only kernel mapping is write-combining
 * @reasons: PEERMR_WHY_* that hold already
 */
int peermr_exporter_open(struct peermr_exporter *exporter, u32 claimed,
			 u32 combining, u32 reasons);

/**
 * peermr_exporter_close() - kill all buffers
 *
 * On return nothing reaches the memory, and every buffer is dead. Waits, without
 * regard to signals. May be opened again.
 */
void peermr_exporter_close(struct peermr_exporter *exporter);

/**
 * peermr_exporter_revoke() - the memory goes away, for @reason
 * @interruptible: a signal ends the wait. Then -ERESTARTSYS is returned, the
 *                 reason is not set, and buffers are restored unless another
 *                 reason holds
 *
 * On 0 nothing reaches the memory: importers were told, their fences waited for,
 * their mappings gone, mmaps zapped. All buffers are told first, then all fences
 * waited for, then all unmaps, without dma_resv.
 * Setting a reason that is set already is no error.
 */
int peermr_exporter_revoke(struct peermr_exporter *exporter, u32 reason,
			   bool interruptible);

/**
 * peermr_exporter_restore() - @reason holds no more
 *
 * If it was the last one, buffers become mappable and importers are told, in one
 * dma_resv section each; not those with manual re-arm.
 */
void peermr_exporter_restore(struct peermr_exporter *exporter, u32 reason);

/**
 * peermr_exporter_late() - count a revoke that came after the fact
 */
void peermr_exporter_late(struct peermr_exporter *exporter);

/**
 * peermr_exporter_offer() - the driver itself handles these PEERMR_EXPORT_* flags
 *
 * Once, before the exporter is opened: struct peermr_export_info tells of them.
 */
void peermr_exporter_offer(struct peermr_exporter *exporter, u32 flags);

/**
 * peermr_export_copy_in() - copy a structure that begins with its size
 * @size: of @to
 * @least: bytes that the user must have at least
 * @argsz: bytes that are there at @from
 *
 * What the user has beyond @size must be 0 (-E2BIG); what he lacks is 0.
 */
int peermr_export_copy_in(void *to, size_t size, size_t least,
			  const void __user *from, size_t argsz);

/*
 * What users ask for: @arg is a structure of peermr_export.h in user memory, of
 * which @argsz bytes are there. Errors are described with it.
 */
int peermr_exporter_ioc_create(struct peermr_exporter *exporter,
			       void __user *arg, size_t argsz);
int peermr_exporter_ioc_revoke(struct peermr_exporter *exporter,
			       void __user *arg, size_t argsz);
int peermr_exporter_ioc_rearm(struct peermr_exporter *exporter,
			      void __user *arg, size_t argsz);
int peermr_exporter_ioc_query(struct peermr_exporter *exporter,
			      void __user *arg, size_t argsz);
int peermr_exporter_ioc_info(struct peermr_exporter *exporter,
			     void __user *arg, size_t argsz);

/**
 * peermr_exporter_create_buffer() - make a buffer
 * @create: copied from the user; its ranges are in user memory still
 *
 * As peermr_exporter_ioc_create(), for callers with a format of their own.
 * Returns a descriptor.
 */
int peermr_exporter_create_buffer(struct peermr_exporter *exporter,
				  const struct peermr_export_create *create);

/**
 * peermr_exporter_set_private() - PEERMR_WHY_PRIVATE, until closed
 * @kvm: may be NULL; the caller keeps it valid until peermr_exporter_close()
 *
 * -EALREADY, -EBUSY (a buffer was mmapped and @zap is false).
 */
int peermr_exporter_set_private(struct peermr_exporter *exporter,
				struct kvm *kvm, bool zap);

#endif
