// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a watched buffer can be mapped: as its exporter says, or by mapping it.
 *
 * dma_resv is always taken so that a signal ends the wait: an exporter may hold it for as long as
 * an importer's fence takes.
 */

#include <linux/capability.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/seq_file.h>

#include <peermr/peermr_export.h>

#include "../peermr_export/peermr_dmabuf.h"
#include "watch.h"

#define WATCH_PROBE_TIMEOUT_MAX_MS	10000
/* Pauses between attempts. An exporter that calls back cuts them short. */
#define WATCH_PROBE_PAUSE_MIN_US	50
#define WATCH_PROBE_PAUSE_MAX_US	10000

static const char * const watch_state_names[] = {
	[DMABUF_WATCH_UNKNOWN] = "unknown",
	[DMABUF_WATCH_LIVE] = "live",
	[DMABUF_WATCH_REVOKED] = "revoked",
	[DMABUF_WATCH_HELD] = "held",
	[DMABUF_WATCH_DEAD] = "dead",
	[DMABUF_WATCH_PRIVATE] = "private",
};

static u32 watch_state_of(const struct peermr_dmabuf_info *info)
{
	/* Dead is for good, private only until the device is closed. */
	if (info->state == PEERMR_EXPORT_DEAD)
		return DMABUF_WATCH_DEAD;
	if (info->is_private)
		return DMABUF_WATCH_PRIVATE;
	switch (info->state) {
	case PEERMR_EXPORT_LIVE:
		return DMABUF_WATCH_LIVE;
	case PEERMR_EXPORT_REVOKED:
		return DMABUF_WATCH_REVOKED;
	case PEERMR_EXPORT_HELD:
		return DMABUF_WATCH_HELD;
	default:
		return DMABUF_WATCH_UNKNOWN;
	}
}

/*
 * dma_resv is held. A buffer of peermr's exporters pins their module; without it, or for a buffer
 * of another exporter, nobody knows.
 */
static void watch_query(struct watch *watch, u32 *state, u64 *revokes)
{
	typeof(peermr_dmabuf_query) *query;
	struct peermr_dmabuf_info info = {};

	dma_resv_assert_held(watch->dmabuf->resv);
	*state = DMABUF_WATCH_UNKNOWN;
	*revokes = 0;
	query = symbol_get(peermr_dmabuf_query);
	if (!query)
		return;
	if (!query(watch->dmabuf, &info)) {
		*state = watch_state_of(&info);
		*revokes = info.revokes;
	}
	symbol_put(peermr_dmabuf_query);
}

int watch_status(struct watch *watch, void __user *arg)
{
	struct dmabuf_watch_status status;
	u32 size;
	int err;

	err = watch_copy_in(&status, sizeof(status), arg, &size);
	if (err)
		return err;
	if (status.flags || status.reserved)
		return -EINVAL;
	err = dma_resv_lock_interruptible(watch->dmabuf->resv, NULL);
	if (err)
		return err;
	watch_query(watch, &status.state, &status.revokes);
	status.total = watch_total(watch);
	dma_resv_unlock(watch->dmabuf->resv);
	return copy_struct_to_user(arg, size, &status, sizeof(status), NULL);
}

void watch_show_state(struct watch *watch, struct seq_file *m)
{
	u32 state;
	u64 revokes;

	/* Whoever reads /proc must not get stuck. */
	if (!dma_resv_trylock(watch->dmabuf->resv)) {
		seq_puts(m, "state:\tbusy\n");
		return;
	}
	watch_query(watch, &state, &revokes);
	dma_resv_unlock(watch->dmabuf->resv);
	seq_printf(m, "state:\t%s\n", watch_state_names[state]);
	if (state != DMABUF_WATCH_UNKNOWN)
		seq_printf(m, "revokes:\t%llu\n", revokes);
}

/*
 * The DMA API is for a device that has a driver: without one nothing keeps its IOMMU domain, and a
 * device under VFIO uses its owner's instead. The device lock holds all that in place; it is only
 * tried, because it is held for as long as a driver takes to go.
 */
static int watch_map(struct watch *watch)
{
	struct device *dev = &watch->pdev->dev;
	struct sg_table *sgt;
	int err;

	dma_resv_assert_held(watch->dmabuf->resv);
	if (!device_trylock(dev))
		return -EBUSY;
	if (!dev->driver || to_pci_driver(dev->driver)->driver_managed_dma) {
		err = -ENXIO;
		goto unlock;
	}
	sgt = dma_buf_map_attachment(watch->attach, DMA_BIDIRECTIONAL);
	err = PTR_ERR_OR_ZERO(sgt);
	if (!err)
		dma_buf_unmap_attachment(watch->attach, sgt, DMA_BIDIRECTIONAL);
unlock:
	device_unlock(dev);
	return err;
}

static bool watch_may_pass(int err)
{
	return err == -ENODEV || err == -EBUSY || err == -EAGAIN || err == -ENOMEM;
}

/* One attempt, at probe->total invalidates. Its errno is an answer, not a failure. */
static int watch_attempt(struct watch *watch, struct dmabuf_watch_probe *probe)
{
	int err;

	err = dma_resv_lock_interruptible(watch->dmabuf->resv, NULL);
	if (err)
		return err;
	/* Mapping may move the buffer, and that calls back. */
	probe->error = watch_map(watch);
	probe->total = watch_total(watch);
	dma_resv_unlock(watch->dmabuf->resv);
	if (probe->error == -EINTR || probe->error == -ERESTARTSYS)
		return probe->error;
	return 0;
}

int watch_probe(struct watch *watch, void __user *arg)
{
	u64 pause_us = WATCH_PROBE_PAUSE_MIN_US;
	struct dmabuf_watch_probe probe;
	ktime_t end, left;
	u32 size;
	int err;

	err = watch_copy_in(&probe, sizeof(probe), arg, &size);
	if (err)
		return err;
	if (probe.flags || probe.timeout_ms > WATCH_PROBE_TIMEOUT_MAX_MS)
		return -EINVAL;
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;

	end = ktime_add_ms(ktime_get(), probe.timeout_ms);
	for (;;) {
		err = watch_attempt(watch, &probe);
		if (err)
			return err;
		left = ktime_sub(end, ktime_get());
		if (!watch_may_pass(probe.error) || left <= 0)
			break;
		err = wait_event_interruptible_hrtimeout(watch->wait,
							 watch_total(watch) != probe.total,
							 min(left, us_to_ktime(pause_us)));
		if (err == -ERESTARTSYS)
			return -EINTR; /* anew it would have all its time again */
		/* It called back, and may allow mapping any moment. */
		pause_us = err ? min(2 * pause_us, WATCH_PROBE_PAUSE_MAX_US) :
				 WATCH_PROBE_PAUSE_MIN_US;
	}
	probe.error = -probe.error;
	return copy_struct_to_user(arg, size, &probe, sizeof(probe), NULL);
}
