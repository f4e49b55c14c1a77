/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: what a peer has to know of a region, and the owner's side of
 * telling it. Connections (peermr/peermr_connection.h) do all of it by themselves;
 * these functions are for those who tell their peers in a way of their own. The
 * rules of peermr/peermr.h hold; peermr/descriptor.hpp and peermr/publication.hpp
 * say more.
 *
 * Null where it isn't said to be allowed is -EINVAL.
 */
#ifndef PEERMR_PEERMR_PUBLICATION_H
#define PEERMR_PEERMR_PUBLICATION_H

#include <stddef.h>
#include <stdint.h>

#include "peermr/peermr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Descriptors ---------------------------------------------------------- */

enum peermr_descriptor_state {
	PEERMR_DESCRIPTOR_LIVE = 1, /* the key is good, to the best of the owner's knowledge */
	PEERMR_DESCRIPTOR_PAUSED = 2, /* post nothing until the next descriptor */
	PEERMR_DESCRIPTOR_DEAD = 3, /* it never comes back */
};

/*
 * A revoke kills the key for good, whoever caused it: an access that succeeds
 * shows that there was none since the key was made.
 */
#define PEERMR_DESCRIPTOR_KEY_DIES 1u

/* All that a peer needs to know of a region. */
struct peermr_descriptor {
	uint64_t id; /* the region's name among those of one owner, by the owner's choice */
	uint64_t address; /* of the first byte, for work requests */
	uint64_t length; /* in bytes; not 0 while live */
	uint64_t generation; /* counts revokes */
	uint64_t key_epoch; /* counts keys */
	uint32_t rkey; /* 0 unless live */
	int32_t state; /* enum peermr_descriptor_state */
	uint32_t flags; /* PEERMR_DESCRIPTOR_KEY_DIES */
	uint32_t reserved; /* 0 */
};

/* A descriptor on the wire (docs/connection.md). */
#define PEERMR_DESCRIPTOR_BYTES 56

/* Writes PEERMR_DESCRIPTOR_BYTES. -EINVAL: no such state, unknown flags. */
PEERMR_PUBLIC int peermr_descriptor_encode(const struct peermr_descriptor *descriptor,
					   void *bytes);

/*
 * Trusts nobody: what it returns is consistent in itself.
 *   -EINVAL  it is not; says which field is wrong
 */
PEERMR_PUBLIC int peermr_descriptor_decode(const void *bytes, size_t nr_bytes,
					   struct peermr_descriptor *descriptor);

/* ---- Publications --------------------------------------------------------- */

/*
 * What the peers of one region are told, and which keys each of them may still
 * use: a key is given back when none has it any more. One for each region,
 * shared by all who tell of it.
 */
struct peermr_publication;

/*
 * Publishes `region` by the name `id`. The region may be closed before the
 * publication is: its peers are then told that it is dead.
 */
PEERMR_PUBLIC int peermr_publication_create(uint64_t id, struct peermr_region *region,
					    struct peermr_publication **publication);

/*
 * What a peer has to know at this moment. To be sent whenever it differs from
 * what was sent last.
 */
PEERMR_PUBLIC int peermr_publication_descriptor(struct peermr_publication *publication,
						struct peermr_descriptor *descriptor);

/* A peer that is about to be told; the number is for the functions below. */
PEERMR_PUBLIC int peermr_publication_add_peer(struct peermr_publication *publication,
					      uint64_t *peer);

/*
 * The peer uses no key older than `key_epoch` any more, and nothing that it posted
 * with one is on its way. Keys that no peer uses are given back
 * (peermr_region_release_keys_before()). May deregister memory.
 *   -EINVAL  no such peer, or that epoch has not begun
 */
PEERMR_PUBLIC int peermr_publication_acknowledge(struct peermr_publication *publication,
						 uint64_t peer, uint64_t key_epoch);

/*
 * The peer is gone, or its lease has run out, and its queue pairs are destroyed.
 * Gives nothing back: peermr_publication_release() does.
 */
PEERMR_PUBLIC int peermr_publication_remove_peer(struct peermr_publication *publication,
						 uint64_t peer);

/* Gives back the keys that no peer uses any more. May deregister memory. */
PEERMR_PUBLIC int peermr_publication_release(struct peermr_publication *publication);

/* Connections that publish it go on. */
PEERMR_PUBLIC void peermr_publication_close(struct peermr_publication *publication);

#ifdef __cplusplus
}
#endif

#endif
