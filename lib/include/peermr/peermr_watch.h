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

/* Does what there is to do. -EPERM: a thread of the library's does it. */
PEERMR_PUBLIC int peermr_monitor_process(struct peermr_monitor *monitor);

/* Its regions learn no more. */
PEERMR_PUBLIC void peermr_monitor_close(struct peermr_monitor *monitor);

#ifdef __cplusplus
}
#endif

#endif
