/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: how a program learns what others do to memory. The rules of
 * peermr/peermr.h hold; peermr/watch.hpp and peermr/monitor.hpp say more.
 */
#ifndef PEERMR_PEERMR_WATCH_H
#define PEERMR_PEERMR_WATCH_H

#include <stdint.h>

#include "peermr/peermr.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peermr_watch;

/* ---- Watches -------------------------------------------------------------- */

/*
 * Counts the invalidates of a dma-buf for the PCI device `importer`.
 *   -ENOENT  the module dmabuf_watch is not loaded
 *   -EAGAIN  the buffer's exporter lets nobody attach now
 */
PEERMR_PUBLIC int peermr_watch_create(const struct peermr_dma_buf *buffer, const char *importer,
				      struct peermr_watch **watch);
/* Borrowed; readable once there is something to read. */
PEERMR_PUBLIC int peermr_watch_fd(const struct peermr_watch *watch);

struct peermr_watch_event {
	uint64_t invalidates; /* since the last read */
	uint64_t total;
	uint64_t first_ns; /* CLOCK_MONOTONIC */
	uint64_t last_ns;
};

/* Does not block: -EAGAIN, without an error text, when there was no invalidate. */
PEERMR_PUBLIC int peermr_watch_read(const struct peermr_watch *watch,
				    struct peermr_watch_event *event);
PEERMR_PUBLIC void peermr_watch_close(struct peermr_watch *watch);

/* ---- Monitors ------------------------------------------------------------- */

/*
 * Tells the regions that are made with it (peermr_region_options.monitor) what
 * others do to their memory: they give no keys then, and come back by themselves.
 * With `own_thread` a thread of the library's does it, else the caller's loop.
 */
PEERMR_PUBLIC int peermr_monitor_create(int own_thread, struct peermr_monitor **monitor);

/* Borrowed; when it is readable, and there is no thread, call peermr_monitor_process(). */
PEERMR_PUBLIC int peermr_monitor_fd(const struct peermr_monitor *monitor);

/* Does what there is to do. -EPERM: a thread of the library's does it; -EDEADLK: this thread holds a
 * lease. */
PEERMR_PUBLIC int peermr_monitor_process(struct peermr_monitor *monitor);

enum peermr_device_event {
	PEERMR_DEVICE_ERROR = 0, /* uncorrectable; its state may be lost: reset it */
	PEERMR_DEVICE_REQUEST = 1, /* the kernel wants it back: close it */
};
struct peermr_device_watch;

/*
 * Acts on what the kernel tells the owner of a device: the keys of all regions on
 * its memory are taken away, then `handler` is called with `context`, in the
 * thread that works for the monitor. It may reset or close the device, and close
 * the watch.
 *   -EOPNOTSUPP  the device has no such events
 */
PEERMR_PUBLIC int peermr_monitor_watch_device(
	const struct peermr_monitor *monitor, const struct peermr_device *device,
	void (*handler)(enum peermr_device_event event, void *context), void *context,
	struct peermr_device_watch **watch);

/* Waits for a handler that is being called, unless that is the caller. */
PEERMR_PUBLIC void peermr_device_watch_close(struct peermr_device_watch *watch);

/* Its regions learn no more. */
PEERMR_PUBLIC void peermr_monitor_close(struct peermr_monitor *monitor);

#ifdef __cplusplus
}
#endif

#endif
