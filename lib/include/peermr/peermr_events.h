/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: events of regions, for a program that waits for descriptors.
 * The rules of peermr/peermr.h hold; peermr/events.hpp says more.
 */
#ifndef PEERMR_PEERMR_EVENTS_H
#define PEERMR_PEERMR_EVENTS_H

#include <stdint.h>

#include "peermr/peermr.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Gets the events of the regions that are made with it
 * (peermr_region_options.events). They may outlive it.
 */
PEERMR_PUBLIC int peermr_event_queue_create(struct peermr_event_queue **queue);

/* Borrowed; readable while there is something to read. */
PEERMR_PUBLIC int peermr_event_queue_fd(const struct peermr_event_queue *queue);

#define PEERMR_EVENT_ERROR_BYTES 256

/* What became of a region since its last event was read. */
struct peermr_event {
	uint64_t cookie; /* peermr_region_options.cookie */
	uint64_t generation;
	uint64_t key_epoch;
	uint64_t changes; /* of its state; more than 1: this is the last of them */
	int32_t state; /* enum peermr_state */
	char error[PEERMR_EVENT_ERROR_BYTES]; /* "" when it is good news; cut if need be */
};

/* Does not block: -EAGAIN, without an error text, when there is none. */
PEERMR_PUBLIC int peermr_event_queue_read(struct peermr_event_queue *queue,
					  struct peermr_event *event);

PEERMR_PUBLIC void peermr_event_queue_close(struct peermr_event_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
