// SPDX-License-Identifier: GPL-2.0-only
/*
 * The admin queue (section 3). A command is submitted by its caller, who sleeps until the
 * interrupt handler has found its completion, and looks for itself now and then in case an
 * interrupt is lost. A command that isn't answered in time kills the device: nothing that it
 * might still do with memory can be trusted then.
 */

#include <linux/dma-mapping.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>

#include "pnic.h"

static unsigned int admin_timeout_ms = 10000;
module_param(admin_timeout_ms, uint, 0644);
MODULE_PARM_DESC(admin_timeout_ms,
		 "Time that the device has for an admin command, in ms (default 10000)");

#define PNIC_ADMIN_INDEX_MASK	(PNIC_ADMIN_ENTRIES - 1)

static int pnic_admin_errno(u8 status)
{
	switch (status) {
	case PNIC_CMD_OK:
		return 0;
	case PNIC_CMD_BAD_PARAM:
	case PNIC_CMD_BAD_HANDLE:
	case PNIC_CMD_BAD_STATE:
		return -EINVAL;
	case PNIC_CMD_BUSY:
		return -EBUSY;
	case PNIC_CMD_NO_RESOURCE:
		return -ENOMEM;
	case PNIC_CMD_BAD_OPCODE:
	case PNIC_CMD_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	default: /* DMA_ERROR, INTERNAL, and whatever a broken device says */
		return -EIO;
	}
}

int pnic_admin_init(struct pnic_dev *dev)
{
	struct pnic_admin *admin = &dev->admin;
	struct device *ddev = &dev->pdev->dev;
	unsigned int i;

	spin_lock_init(&admin->lock);
	init_waitqueue_head(&admin->freed);
	admin->free = GENMASK_ULL(PNIC_ADMIN_ENTRIES - 1, 0);
	for (i = 0; i < PNIC_ADMIN_ENTRIES; i++) {
		init_completion(&admin->ctx[i].done);
		admin->ctx[i].cmd_id = i;
	}
	admin->sq = dma_alloc_coherent(ddev, PNIC_ADMIN_ENTRIES * sizeof(*admin->sq),
				       &admin->sq_dma, GFP_KERNEL);
	if (!admin->sq)
		return -ENOMEM;
	admin->cq = dma_alloc_coherent(ddev, PNIC_ADMIN_ENTRIES * sizeof(*admin->cq),
				       &admin->cq_dma, GFP_KERNEL);
	if (!admin->cq) {
		pnic_admin_free(dev);
		return -ENOMEM;
	}
	return 0;
}

void pnic_admin_free(struct pnic_dev *dev)
{
	struct pnic_admin *admin = &dev->admin;
	struct device *ddev = &dev->pdev->dev;

	if (admin->sq)
		dma_free_coherent(ddev, PNIC_ADMIN_ENTRIES * sizeof(*admin->sq), admin->sq,
				  admin->sq_dma);
	if (admin->cq)
		dma_free_coherent(ddev, PNIC_ADMIN_ENTRIES * sizeof(*admin->cq), admin->cq,
				  admin->cq_dma);
	admin->sq = NULL;
	admin->cq = NULL;
}

static void pnic_admin_finish(struct pnic_admin_ctx *ctx, int err, u64 result)
{
	ctx->err = err;
	ctx->result = result;
	ctx->waiting = false;
	complete(&ctx->done);
}

/* One completion as the device wrote it: nothing in it is believed before it is checked. */
static void pnic_admin_take(struct pnic_dev *dev, const struct pnic_admin_comp *comp)
{
	u16 cmd_id = le16_to_cpu(comp->cmd_id);
	struct pnic_admin_ctx *ctx = &dev->admin.ctx[cmd_id & PNIC_ADMIN_INDEX_MASK];

	if (!ctx->waiting || ctx->cmd_id != cmd_id) {
		dev_err_ratelimited(&dev->pdev->dev, "completion of unknown command 0x%x\n",
				    cmd_id);
		return;
	}
	pnic_admin_finish(ctx, pnic_admin_errno(comp->status), le64_to_cpu(comp->result));
}

/* Any context. Takes what the device has completed so far. */
static void pnic_admin_poll(struct pnic_dev *dev)
{
	struct pnic_admin *admin = &dev->admin;
	struct pnic_admin_comp comp;
	unsigned long flags;
	unsigned int budget;
	u8 phase;

	spin_lock_irqsave(&admin->lock, flags);
	for (budget = PNIC_ADMIN_ENTRIES; budget; budget--) {
		struct pnic_admin_comp *entry = &admin->cq[admin->cq_ci & PNIC_ADMIN_INDEX_MASK];

		phase = !(admin->cq_ci >> PNIC_ADMIN_LOG & 1);
		if ((READ_ONCE(entry->flags) & PNIC_ADMIN_COMP_PHASE) != phase)
			break;
		dma_rmb(); /* the phase is written last */
		memcpy(&comp, entry, sizeof(comp));
		barrier(); /* from here on our copy, which the device can't change */
		admin->cq_ci++;
		pnic_admin_take(dev, &comp);
	}
	/* The device needs to know only before the ring is full, and it costs a trapped access. */
	if (admin->cq_ci - admin->cq_told >= PNIC_ADMIN_ENTRIES / 2 && !pnic_is_dead(dev)) {
		admin->cq_told = admin->cq_ci;
		pnic_write(dev, PNIC_REG_ACQ_DOORBELL, admin->cq_ci);
	}
	spin_unlock_irqrestore(&admin->lock, flags);
}

irqreturn_t pnic_admin_irq(int irq, void *data)
{
	pnic_admin_poll(data);
	return IRQ_HANDLED;
}

/* Any context. The device is dead: nobody waits for it any longer. */
void pnic_admin_abort(struct pnic_dev *dev)
{
	struct pnic_admin *admin = &dev->admin;
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&admin->lock, flags);
	for (i = 0; i < PNIC_ADMIN_ENTRIES; i++)
		if (admin->ctx[i].waiting)
			pnic_admin_finish(&admin->ctx[i], -EIO, 0);
	spin_unlock_irqrestore(&admin->lock, flags);
	wake_up_all(&admin->freed);
}

static bool pnic_admin_try_get(struct pnic_admin *admin, struct pnic_admin_ctx **ctx)
{
	unsigned int index;
	bool found = false;

	spin_lock_irq(&admin->lock);
	if (admin->free) {
		index = __ffs64(admin->free);
		admin->free &= ~BIT_ULL(index);
		*ctx = &admin->ctx[index];
		found = true;
	}
	spin_unlock_irq(&admin->lock);
	return found;
}

static void pnic_admin_put(struct pnic_admin *admin, struct pnic_admin_ctx *ctx)
{
	spin_lock_irq(&admin->lock);
	ctx->cmd_id += PNIC_ADMIN_ENTRIES; /* a late or doubled completion finds nobody */
	admin->free |= BIT_ULL(ctx->cmd_id & PNIC_ADMIN_INDEX_MASK);
	spin_unlock_irq(&admin->lock);
	wake_up(&admin->freed);
}

static int pnic_admin_submit(struct pnic_dev *dev, struct pnic_admin_ctx *ctx,
			     struct pnic_cmd *cmd)
{
	struct pnic_admin *admin = &dev->admin;
	int err = -EIO;

	spin_lock_irq(&admin->lock);
	/* Under the lock: who declares the device dead aborts under it afterwards. */
	if (!pnic_is_dead(dev)) {
		reinit_completion(&ctx->done);
		ctx->waiting = true;
		cmd->hdr.cmd_id = cpu_to_le16(ctx->cmd_id);
		admin->sq[admin->sq_pi & PNIC_ADMIN_INDEX_MASK] = *cmd;
		admin->sq_pi++;
		pnic_write(dev, PNIC_REG_ASQ_DOORBELL, admin->sq_pi);
		err = 0;
	}
	spin_unlock_irq(&admin->lock);
	return err;
}

/* Kills the device when it has failed or is gone, so that nobody waits for it in vain. */
static void pnic_admin_check_alive(struct pnic_dev *dev)
{
	u32 status;

	if (pnic_is_dead(dev))
		return;
	status = pnic_read(dev, PNIC_REG_STATUS);
	if (status == U32_MAX)
		pnic_kill(dev, "device is gone");
	else if (status & PNIC_STATUS_FATAL)
		pnic_kill(dev, "device has failed");
	else if (!(status & PNIC_STATUS_READY))
		pnic_kill(dev, "device has been reset");
}

static void pnic_admin_wait(struct pnic_dev *dev, struct pnic_admin_ctx *ctx, u8 opcode)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(READ_ONCE(admin_timeout_ms));
	unsigned long slice = msecs_to_jiffies(20);

	while (!wait_for_completion_timeout(&ctx->done, slice)) {
		pnic_admin_poll(dev);
		if (try_wait_for_completion(&ctx->done))
			return;
		pnic_admin_check_alive(dev);
		if (time_after(jiffies, deadline)) {
			dev_err(&dev->pdev->dev, "admin command 0x%x timed out\n", opcode);
			pnic_kill(dev, "admin command timed out");
		}
		/* A device that has just died completes the wait through pnic_admin_abort(). */
		slice = min(2 * slice, msecs_to_jiffies(500));
	}
}

/*
 * Executes a command and waits for its answer. May sleep; may be called with any lock held that
 * may be held while sleeping, dma_resv included. When it returns, the device no longer accesses
 * memory that the command names for its own execution (page lists, answer buffers), whatever the
 * result.
 *
 * cmd: header and payload but for cmd_id, which is filled in here. result: the value from the
 * completion, unless NULL.
 * Returns 0, EIO (the device is dead, or it answered DMA_ERROR or INTERNAL), or what the status of
 * the command translates to: EINVAL, EBUSY, ENOMEM, EOPNOTSUPP.
 */
int pnic_admin_exec(struct pnic_dev *dev, struct pnic_cmd *cmd, u64 *result)
{
	struct pnic_admin *admin = &dev->admin;
	struct pnic_admin_ctx *ctx = NULL;
	int err;

	might_sleep();
	wait_event(admin->freed, pnic_is_dead(dev) || pnic_admin_try_get(admin, &ctx));
	if (!ctx)
		return -EIO;

	err = pnic_admin_submit(dev, ctx, cmd);
	if (!err) {
		pnic_admin_wait(dev, ctx, cmd->hdr.opcode);
		err = ctx->err;
		if (result)
			*result = ctx->result;
	}
	pnic_admin_put(admin, ctx);
	if (err)
		dev_dbg(&dev->pdev->dev, "admin command 0x%x: %d\n", cmd->hdr.opcode, err);
	return err;
}

/* Executes a command that creates an object; EIO too if the device's number for it isn't 32-bit. */
int pnic_admin_create(struct pnic_dev *dev, struct pnic_cmd *cmd, u32 *id)
{
	u64 result;
	int err;

	err = pnic_admin_exec(dev, cmd, &result);
	if (err)
		return err;
	if (result > U32_MAX) {
		pnic_kill(dev, "impossible object number");
		return -EIO;
	}
	*id = result;
	return 0;
}

/*
 * Destroys an object, with certainty: memory that the object refers to is free to go afterwards. A
 * device that refuses is stopped as a whole.
 */
void pnic_admin_destroy(struct pnic_dev *dev, u8 opcode, u32 id)
{
	struct pnic_cmd cmd = {
		.hdr.opcode = opcode,
		.u.object.handle = cpu_to_le32(id),
	};
	int err;

	if (pnic_is_dead(dev))
		return;
	err = pnic_admin_exec(dev, &cmd, NULL);
	if (err && !pnic_is_dead(dev)) {
		dev_err(&dev->pdev->dev, "command 0x%x for object 0x%x: %d\n", opcode, id, err);
		pnic_kill(dev, "device doesn't let go of an object");
	}
}

/* Executes a query and copies bytes (at most a page) of its answer. */
int pnic_admin_query(struct pnic_dev *dev, u8 opcode, u32 id, void *answer, size_t bytes)
{
	struct pnic_cmd cmd = {
		.hdr.opcode = opcode,
		.u.out.addr = cpu_to_le64(dev->answer_dma),
		.u.out.length = cpu_to_le32(bytes),
		.u.out.handle = cpu_to_le32(id),
	};
	int err;

	if (WARN_ON(bytes > PNIC_PAGE_SIZE))
		return -EINVAL;
	mutex_lock(&dev->answer_lock);
	memset(dev->answer, 0, bytes);
	err = pnic_admin_exec(dev, &cmd, NULL);
	if (!err)
		memcpy(answer, dev->answer, bytes);
	mutex_unlock(&dev->answer_lock);
	return err;
}
