/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: what an RC queue pair is made with, and, for those who own
 * their queue pairs, the state transitions that recovery needs. The rules of
 * peermr/peermr.h hold; peermr/queue_pair.hpp says more.
 *
 * Null where it isn't said to be allowed is -EINVAL. The transitions block for as
 * long as the device's commands take, and return the errors of ibv_modify_qp().
 */
#ifndef PEERMR_PEERMR_QP_H
#define PEERMR_PEERMR_QP_H

#include <stddef.h>
#include <stdint.h>

#include "peermr/peermr.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ibv_qp;

/* With its flag, a 0 is meant. */
#define PEERMR_QP_TIMEOUT 1u
#define PEERMR_QP_RETRY_COUNT 2u
#define PEERMR_QP_RNR_RETRY 4u
#define PEERMR_QP_MIN_RNR_TIMER 8u

/*
 * What a side decides for itself. Zero all, set `size`, then what differs: 0 is
 * the default in parentheses. The defaults ride over the reset of a device behind
 * a faultable importer.
 */
struct peermr_qp_parameters {
	size_t size; /* sizeof(struct peermr_qp_parameters) */
	uint32_t flags; /* PEERMR_QP_* */
	int32_t access; /* IBV_ACCESS_* (local write, remote read and write) */
	uint16_t pkey_index;
	uint8_t port; /* (1) */
	uint8_t gid_index;
	uint8_t service_level; /* 0 to 15 */
	uint8_t traffic_class;
	uint8_t hop_limit; /* (64) */
	uint8_t timeout; /* 4.096 us << timeout for an answer, 0 to 31, 0: for ever (14) */
	uint8_t retry_count; /* 0 to 7 (7) */
	uint8_t rnr_retry; /* 0 to 7, 7: without end (7) */
	uint8_t min_rnr_timer; /* IBV's code, 0 to 31 (12: 0.64 ms) */
	uint8_t max_read_atomic; /* READs and atomics at a time, up to what the device can (1) */
	uint32_t reserved; /* 0 */
};

/* How a queue pair is reached: what its peer has to know. */
struct peermr_qp_address {
	uint32_t qp_number; /* 24 bits */
	uint16_t lid; /* 0: reached by GID only */
	uint8_t has_gid; /* 0 or 1 */
	uint8_t mtu; /* enum ibv_mtu */
	uint8_t gid[16];
	uint8_t max_read_atomic; /* READs and atomics that it answers at a time */
	uint8_t reserved[3]; /* 0 */
};

/*
 * The address of `qp`, by its port. A GID is given where the port is Ethernet's or
 * has no LID. `parameters` may be null here and below: the defaults.
 */
PEERMR_PUBLIC int peermr_qp_local_address(struct ibv_qp *qp,
					  const struct peermr_qp_parameters *parameters,
					  struct peermr_qp_address *address);

/*
 * Any state to ERR: all that is posted gets completed, with IBV_WC_WR_FLUSH_ERR
 * where nothing else is known.
 */
PEERMR_PUBLIC int peermr_qp_stop(struct ibv_qp *qp);

/*
 * Any state to RESET and INIT, where receives may be posted. What was not completed
 * never will be.
 */
PEERMR_PUBLIC int peermr_qp_restart(struct ibv_qp *qp,
				    const struct peermr_qp_parameters *parameters);

/*
 * INIT to RTR and RTS. `psn` is where this side's packets begin, `peer_psn` the
 * peer's: 24 bits, new ones each time, so that packets of the time before are not
 * mistaken for valid.
 */
PEERMR_PUBLIC int peermr_qp_connect(struct ibv_qp *qp,
				    const struct peermr_qp_parameters *parameters, uint32_t psn,
				    const struct peermr_qp_address *peer, uint32_t peer_psn);

#ifdef __cplusplus
}
#endif

#endif
