/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: what a connection (peermr/peermr_connection.h) is asked to do,
 * and how it ended. peermr/work.hpp says more.
 */
#ifndef PEERMR_PEERMR_WORK_H
#define PEERMR_PEERMR_WORK_H

#include <stddef.h>
#include <stdint.h>

#include "peermr/peermr.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peermr_operation {
	PEERMR_WRITE = 0,
	PEERMR_WRITE_WITH_IMMEDIATE = 1,
	PEERMR_READ = 2,
	PEERMR_SEND = 3,
	PEERMR_SEND_WITH_IMMEDIATE = 4,
	PEERMR_FETCH_ADD = 5,
	PEERMR_COMPARE_SWAP = 6,
	/* Success: all earlier WRITEs of the connection to this region are in its memory. */
	PEERMR_PLACE = 7,
	PEERMR_RECEIVE = 8, /* in completions only */
};

/*
 * Memory of this side: of an MR that the application holds, or of a region, whose
 * key of the moment is used.
 */
struct peermr_local {
	/* Stays open until the work's completion was polled. Null: `lkey` counts. */
	const struct peermr_region *region;
	uint64_t address; /* with a region: the offset within it */
	uint32_t length; /* in bytes */
	uint32_t lkey;
};

/*
 * Work for a connection. The peer's memory is named by region and offset: a
 * repetition goes to where the region is then, with the key of then. Zero all,
 * set `size`, then what counts.
 */
struct peermr_work {
	size_t size; /* sizeof(struct peermr_work) */
	uint64_t id; /* comes back in the completion */
	uint64_t region; /* the peer's, by its name */
	uint64_t offset; /* within the region, in bytes; a multiple of 8 for atomics */
	struct peermr_local local; /* 8 bytes for atomics, which get the old value; none for
				      PEERMR_PLACE */
	uint64_t operand; /* atomics: what to add, or to put */
	uint64_t compare; /* PEERMR_COMPARE_SWAP: if this is there */
	uint32_t immediate; /* in host byte order */
	int32_t operation; /* enum peermr_operation */
};

enum peermr_work_status {
	PEERMR_WORK_SUCCESS = 0,
	/* It cannot be done, or was tried often enough: wc_status says why. */
	PEERMR_WORK_FAILED = 1,
	/*
	 * The region has a new generation. The work was not acknowledged in it and is
	 * not repeated, or, for PEERMR_PLACE, earlier acknowledged WRITEs may be gone.
	 */
	PEERMR_WORK_NEW_GENERATION = 2,
	PEERMR_WORK_REGION_DEAD = 3,
	/* Behind one that failed, and not executed, for certain. */
	PEERMR_WORK_FLUSHED = 4,
	/*
	 * It may have been executed, or not: atomics and WRITEs that an error overtook;
	 * all that was on its way when the connection ended.
	 */
	PEERMR_WORK_OUTCOME_UNKNOWN = 5,
};

/* The completion is of a message with immediate. */
#define PEERMR_COMPLETION_IMMEDIATE 1u

/* How work ended. Each piece of work has one. */
struct peermr_completion {
	uint64_t id;
	/*
	 * Of the region, as this side knew it when the work was posted for the last
	 * time: it was acknowledged in this one or in a later one.
	 */
	uint64_t generation;
	int32_t operation; /* enum peermr_operation */
	int32_t status; /* enum peermr_work_status */
	int32_t wc_status; /* enum ibv_wc_status, for PEERMR_WORK_FAILED */
	uint32_t length; /* of a received message, in bytes */
	uint32_t immediate; /* of a received message, in host byte order */
	uint32_t flags; /* PEERMR_COMPLETION_IMMEDIATE */
};

#ifdef __cplusplus
}
#endif

#endif
