/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pnic: RDMA driver for the pnic device, the reference importer of VFIO-owned device memory.
 *
 * The device is defined in docs/nic-spec.md and peermr/pnic_hw.h; section numbers in comments are
 * that document's. Only user-space verbs are offered (kverbs_provider is false): in-kernel users
 * such as IPoIB are not bound to the device.
 *
 * Locks, outermost first. None of them is held across a callback into another subsystem.
 *  - device_lock of the PCI device: probe, remove and reset of a function exclude each other.
 *  - dma_resv of a dma-buf: the mapping and the validity of the MRs on it (pnic_dmabuf.c).
 *  - pnic_ucontext.lock, pnic_qp.lock: one user context's UARs, one QP's state.
 *  - pnic_dev.answer_lock: the page for answers of queries.
 *  - pnic_admin.lock, pnic_dev.state_lock: leaves. Who waits for an admin command may hold any of
 *    the locks above (an exporter's callback holds dma_resv, VFIO's memory_lock too), so whatever
 *    completes commands takes none of them.
 */
#ifndef PNIC_H
#define PNIC_H

#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/dmapool.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include <peermr/pnic_hw.h>
#include <rdma/pnic-abi.h>

#include "compat.h"

#define PNIC_DRIVER_NAME	"pnic"

#define PNIC_ADMIN_VECTOR	0
#define PNIC_ASYNC_VECTOR	1
#define PNIC_FIRST_COMP_VECTOR	2

#define PNIC_ADMIN_LOG		6
#define PNIC_ADMIN_ENTRIES	BIT(PNIC_ADMIN_LOG)

/* One 4 KiB page of entries; when it is full, events wait in the device (section 7). */
#define PNIC_EQ_LOG		7
#define PNIC_EQ_ENTRIES		BIT(PNIC_EQ_LOG)
#define PNIC_EQ_BYTES		(PNIC_EQ_ENTRIES * sizeof(struct pnic_eqe))

/* ---- objects that events name -------------------------------------------------------------- */

/*
 * Part of an object that the device knows by a number. An event handler that finds the object
 * holds a reference while it uses it; the object is destroyed only when none is left.
 */
struct pnic_handle {
	refcount_t refs;
	struct completion unused;
};

void pnic_table_init(struct xarray *table);
int pnic_handle_publish(struct xarray *table, u32 id, struct pnic_handle *handle);
struct pnic_handle *pnic_handle_find(struct xarray *table, u32 id);
void pnic_handle_put(struct pnic_handle *handle);
void pnic_handle_retire(struct xarray *table, u32 id, struct pnic_handle *handle);

/* ---- admin queue --------------------------------------------------------------------------- */

struct pnic_admin_ctx {
	struct completion done;
	u64 result;
	int err;
	u16 cmd_id;		/* index in ctx[], and above it the number of its uses */
	bool waiting;		/* submitted, and neither completed nor aborted */
};

struct pnic_admin {
	/* Leaf. Protects the indexes, the free mask and every ctx but its completion. */
	spinlock_t lock;
	struct pnic_cmd *sq;
	struct pnic_admin_comp *cq;
	dma_addr_t sq_dma;
	dma_addr_t cq_dma;
	u32 sq_pi;
	u32 cq_ci;
	u32 cq_told;		/* what ACQ_DOORBELL says */
	u64 free;		/* bit n: ctx[n] is unused */
	wait_queue_head_t freed;
	struct pnic_admin_ctx ctx[PNIC_ADMIN_ENTRIES];
};

/* ---- the device ---------------------------------------------------------------------------- */

/* QUERY_DEVICE's answer, checked, in host order */
struct pnic_caps {
	u64 features;
	u64 node_guid;
	u64 fw_version;
	u64 max_mr_size;
	u32 max_mr;
	u32 max_pd;
	u32 max_cq;
	u32 max_qp;
	u32 max_eq;
	u32 max_cqe;
	u32 max_qp_wr;
	u32 max_sge;
	u32 max_inline;
	u32 max_rd_atomic;
	u32 max_msg_size;
	u16 lid;
	u8 port_state;		/* changed by port events, see pnic_eq.c */
	u8 max_mtu;
	u8 active_mtu;
	u8 gid[16];
};

struct pnic_uar;

/* Two 32-bit words in a UAR page that belong to one QP, CQ or EQ */
struct pnic_slot {
	struct pnic_uar *uar;
	u32 index;
};

struct pnic_dev;

struct pnic_eq {
	struct pnic_dev *dev;
	struct pnic_eqe *ring;
	dma_addr_t ring_dma;
	struct pnic_slot slot;
	u32 eqn;
	u32 ci;			/* only the interrupt handler, and who created the EQ before it */
	u32 arm_seq;		/* as ci */
	int irq;
	char irq_name[32];
};

struct pnic_dev {
	struct ib_device ibdev;
	struct pci_dev *pdev;
	void __iomem *regs;		/* BAR 0 */
	void __iomem *doorbells;	/* BAR 2 */
	struct pnic_caps caps;

	/* Leaf. Protects the step to dead, and registered together with the use of ibdev for it. */
	spinlock_t state_lock;
	bool dead;		/* bus mastering is off, no command is sent any more */
	bool registered;	/* events may be dispatched on ibdev */

	struct pnic_admin admin;

	struct mutex answer_lock;	/* protects answer */
	void *answer;		/* one page, for answers of query commands */
	dma_addr_t answer_dma;

	struct dma_pool *page_blocks;	/* 4 KiB blocks of page lists */
	DECLARE_BITMAP(uars, PNIC_NUM_UARS);	/* in use; atomic bit operations */
	struct pnic_uar *kernel_uar;

	struct pnic_eq async_eq;
	struct pnic_eq *comp_eqs;
	unsigned int num_comp_eqs;
	unsigned int num_vectors;
	char admin_irq_name[32];

	/* Objects by the device's number for them; locks taken with interrupts off. */
	struct xarray cqs;
	struct xarray qps;
	struct xarray mrs;

	struct workqueue_struct *fault_wq;
	struct dentry *debugfs;
};

static inline struct pnic_dev *to_pnic(struct ib_device *ibdev)
{
	return container_of(ibdev, struct pnic_dev, ibdev);
}

/* True once nothing of the device moves any more. */
static inline bool pnic_is_dead(struct pnic_dev *dev)
{
	/* Pairs with the release in pnic_kill(): who sees dead may rely on the fence before it. */
	return smp_load_acquire(&dev->dead);
}

static inline u32 pnic_read(struct pnic_dev *dev, u32 reg)
{
	return readl(dev->regs + PNIC_REGS_OFFSET + reg);
}

static inline void pnic_write(struct pnic_dev *dev, u32 reg, u32 value)
{
	writel(value, dev->regs + PNIC_REGS_OFFSET + reg);
}

/* pnic_device.c */
struct pnic_dev *pnic_dev_start(struct pci_dev *pdev, void __iomem *regs,
				void __iomem *doorbells);
void pnic_dev_stop(struct pnic_dev *dev, const char *why_kill);
void pnic_kill(struct pnic_dev *dev, const char *why);

/* pnic_admin.c */
int pnic_admin_init(struct pnic_dev *dev);
void pnic_admin_free(struct pnic_dev *dev);
void pnic_admin_abort(struct pnic_dev *dev);
irqreturn_t pnic_admin_irq(int irq, void *data);
int pnic_admin_exec(struct pnic_dev *dev, struct pnic_cmd *cmd, u64 *result);
int pnic_admin_create(struct pnic_dev *dev, struct pnic_cmd *cmd, u32 *id);
void pnic_admin_destroy(struct pnic_dev *dev, u8 opcode, u32 id);
int pnic_admin_query(struct pnic_dev *dev, u8 opcode, u32 id, void *answer, size_t bytes);

/* pnic_eq.c */
int pnic_eqs_create(struct pnic_dev *dev);
void pnic_eqs_destroy(struct pnic_dev *dev);

/* pnic_stats.c */
struct rdma_hw_stats *pnic_alloc_hw_stats(struct ib_device *ibdev);
int pnic_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats, u32 port, int index);
void pnic_debugfs_init(void);
void pnic_debugfs_exit(void);
void pnic_debugfs_add(struct pnic_dev *dev);
void pnic_debugfs_remove(struct pnic_dev *dev);

#endif
