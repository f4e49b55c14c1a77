/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: an RC connection that survives remote access, transport and RNR
 * errors. Both sides drain, connect again over an out-of-band channel, and repeat
 * what was not acknowledged, in order. docs/connection.md has all of it: what is
 * repeated, what "acknowledged" and "placed" promise, and the protocol.
 *
 * The rules of peermr/peermr.h hold, but for one: one thread at a time uses a
 * connection. It has no thread of its own, and nothing waits but
 * peermr_connection_wait_until_live(). Null where it isn't said to be allowed is
 * -EINVAL.
 */
#ifndef PEERMR_PEERMR_CONNECTION_H
#define PEERMR_PEERMR_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#include "peermr/peermr.h"
#include "peermr/peermr_publication.h"
#include "peermr/peermr_qp.h"
#include "peermr/peermr_work.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peermr_connection;

/* ---- The application's own channel ---------------------------------------- */

/* No message is longer, in bytes. */
#define PEERMR_CHANNEL_MESSAGE_BYTES 256

/*
 * The application's own way to its peer, beside RDMA: small messages, reliable and
 * in order. Who has a way already (a TCP session, MPI, a message bus) implements
 * these functions on it. The connection's functions call them, in the caller's
 * thread; they must not block and must not call the connection's. Zero all, set
 * `size`, then the rest.
 */
struct peermr_channel {
	size_t size; /* sizeof(struct peermr_channel) */
	void *context; /* what the functions get */

	/*
	 * Takes a message of 1 to PEERMR_CHANNEL_MESSAGE_BYTES; it may leave later, by
	 * flush(). Returns 0 or a negative errno value, which is for good: the peer is
	 * gone, or has not read for so long that no more is kept for it.
	 */
	int (*send)(void *context, const void *message, size_t bytes);

	/*
	 * Puts the next message in `message`, which has room for `capacity` bytes, and
	 * returns its length; 0: nothing for now. A negative errno value is for good:
	 * the peer is gone (-ECONNRESET), or has sent what no peer would send.
	 */
	int (*receive)(void *context, void *message, size_t capacity);

	/* Goes on sending what send() took. 0 or a negative errno value. Null: send() leaves
	 * nothing behind. */
	int (*flush)(void *context);

	/* What to wait for on `fd`: POLLIN, and POLLOUT while flush() has something to do. Null:
	 * POLLIN. */
	short (*events)(void *context);

	/* For poll(2): readable while receive() has something. Where messages come another way,
	 * an eventfd. Stays open and the same until the connection is closed. */
	int32_t fd;
	uint32_t reserved; /* 0 */
};

/* ---- Making one ----------------------------------------------------------- */

/* What becomes of unacknowledged work when a region of the peer's has a new generation. */
enum peermr_new_generation {
	/*
	 * It comes back as PEERMR_WORK_NEW_GENERATION, and no other work is taken for
	 * the region before the application has read the event.
	 */
	PEERMR_NEW_GENERATION_GIVE_BACK = 0,
	PEERMR_NEW_GENERATION_REPLAY = 1, /* it is done in the new generation */
};

/* Zero all, set `size`, then what differs: 0 is the default in parentheses. */
struct peermr_connection_options {
	size_t size; /* sizeof(struct peermr_connection_options) */
	const struct peermr_qp_parameters *qp; /* (the defaults) */
	/* How much work is kept, from the call until its completion is polled. */
	uint32_t max_sends; /* (128) */
	uint32_t max_receives; /* (128) */
	uint32_t max_remote_regions; /* (1024) */
	/* Work that fails so often, and for failing_for_ns, with no revoke to explain it, is
	 * completed as failed. */
	uint32_t max_failures; /* (8) */
	/*
	 * Between recoveries that bring nothing forward: from `first`, doubled up to
	 * `ceiling`. A recovery that takes longer than `limit` is the end.
	 */
	uint64_t recovery_first_ns; /* (500 us) */
	uint64_t recovery_ceiling_ns; /* (100 ms) */
	uint64_t recovery_limit_ns; /* (10 s) */
	/* Of a socket: what is kept for a peer that does not read, and the time within which a
	 * peer finishes a message that it has begun. */
	uint64_t backlog_bytes; /* (64 KiB) */
	uint64_t message_limit_ns; /* (5 s) */
	uint64_t failing_for_ns; /* (2 s) */
	int32_t on_new_generation; /* enum peermr_new_generation */
	uint32_t reserved; /* 0 */
};

/*
 * Makes the queue pair of a connection to the peer at the other end of a connected
 * stream socket. Connecting goes on in peermr_connection_process(). Borrows `pd`;
 * takes the socket over, also on failure. `options` may be null.
 *   -EINVAL    options; not a stream socket, or not connected
 *   -ENOTSOCK  `fd` is no socket
 *   others     of libibverbs, epoll_create1(), eventfd() and timerfd_create()
 */
PEERMR_PUBLIC int peermr_connection_create(struct ibv_pd *pd, int fd,
					   const struct peermr_connection_options *options,
					   struct peermr_connection **connection);

/*
 * The same over a channel of the application's. The struct is copied; what it
 * points to is used until the call fails, or peermr_connection_close() returns.
 */
PEERMR_PUBLIC int peermr_connection_create_over(struct ibv_pd *pd,
						const struct peermr_channel *channel,
						const struct peermr_connection_options *options,
						struct peermr_connection **connection);

/*
 * Destroys the queue pair: nothing is on its way afterwards, and the peer's
 * connection dies. Closes the socket.
 */
PEERMR_PUBLIC void peermr_connection_close(struct peermr_connection *connection);

/* ---- The event loop ------------------------------------------------------- */

/* For poll, epoll and the like: when it is readable, call process. Borrowed; never read from it. */
PEERMR_PUBLIC int peermr_connection_fd(const struct peermr_connection *connection);

/*
 * Does what there is to do: messages, completions, recovery, regions. Does not
 * wait. On an error the connection has ended, and all its work is completed:
 *   -ECONNRESET  the peer is gone
 *   -ETIMEDOUT   a recovery took longer than the limit, or a message of the peer's did
 *   -EINVAL      the peer breaks the protocol
 *   others       of libibverbs, or of the channel
 * -EDEADLK ends nothing: this thread holds a lease, and nothing happened.
 */
PEERMR_PUBLIC int peermr_connection_process(struct peermr_connection *connection);

/*
 * Waits and processes until the connection is live, for `limit_ns` at most.
 * -ETIMEDOUT; errors of peermr_connection_process().
 */
PEERMR_PUBLIC int peermr_connection_wait_until_live(struct peermr_connection *connection,
						    uint64_t limit_ns);

enum peermr_rc_state {
	PEERMR_CONNECTION_CONNECTING = 0, /* for the first time */
	PEERMR_CONNECTION_LIVE = 1,
	PEERMR_CONNECTION_RECOVERING = 2, /* after an error: work is taken, and waits */
	PEERMR_CONNECTION_DEAD = 3, /* for good */
};

PEERMR_PUBLIC enum peermr_rc_state
peermr_connection_state(const struct peermr_connection *connection);

/* ---- Work ----------------------------------------------------------------- */

/*
 * Takes work; it is posted at once where that is possible. Makes no system call
 * then. Nothing is taken on an error:
 *   -ENOENT      the peer has told of no such region
 *   -EINVAL      not within the region, or what cannot be
 *   -EOPNOTSUPP  atomics, which the device does not have
 *   -EAGAIN      max_sends reached: poll
 *   -ESTALE      the region has a generation of which the application has not read
 *   -ECANCELED   earlier work failed, and its completion was not polled yet
 *   -ENODEV      the region is dead, or the connection
 */
PEERMR_PUBLIC int peermr_connection_post(struct peermr_connection *connection,
					 const struct peermr_work *work);

/* A receive for one message. -EAGAIN: max_receives reached; -ENODEV; -EINVAL. */
PEERMR_PUBLIC int peermr_connection_post_receive(struct peermr_connection *connection, uint64_t id,
						 const struct peermr_local *local);

/*
 * Up to `count` completions, oldest first, in the order of the calls (sends among
 * themselves, and receives among themselves). Returns how many.
 */
PEERMR_PUBLIC int peermr_connection_poll(struct peermr_connection *connection,
					 struct peermr_completion *completions, size_t count);

/* ---- Regions and events --------------------------------------------------- */

/*
 * Tells the peer of a region of this side, by the name `id`: now, and at each
 * change, which makes the connection's descriptor readable. When the peer has
 * acknowledged a new key, older ones are given back. The region may be closed
 * first: the peer is then told that it is dead, unless it is a cache's, which stays.
 *   -EEXIST  the id was used before
 */
PEERMR_PUBLIC int peermr_connection_publish(struct peermr_connection *connection, uint64_t id,
					    struct peermr_region *region);

/* The same for a region that has several peers: its publication is shared by their connections. */
PEERMR_PUBLIC int peermr_connection_publish_shared(struct peermr_connection *connection,
						   struct peermr_publication *publication);

/*
 * Changes of a region make the connection's descriptor readable, until one of both
 * is closed. For regions that local memory of work is in; those published are
 * followed already. What peermr_region_options.events gets is not touched.
 */
PEERMR_PUBLIC int peermr_connection_follow(struct peermr_connection *connection,
					   struct peermr_region *region);

/* What the peer has told last of a region. -ENOENT, without an error text: nothing. */
PEERMR_PUBLIC int peermr_connection_remote_region(const struct peermr_connection *connection,
						  uint64_t id,
						  struct peermr_descriptor *descriptor);

enum peermr_connection_event_kind {
	PEERMR_EVENT_STATE = 0, /* several changes that nobody read are one event */
	PEERMR_EVENT_REGION = 1, /* a region of the peer's is new, or has changed; likewise */
	/*
	 * Work of the peer's failed with a remote access error. When the region is live
	 * and was revoked by others: peermr_region_report_completion(). The peer may lie.
	 */
	PEERMR_EVENT_PEER_FAILED = 2,
};

struct peermr_connection_event {
	int32_t kind; /* enum peermr_connection_event_kind */
	int32_t state; /* enum peermr_rc_state */
	uint32_t epoch; /* connections so far, the present one included */
	uint32_t reserved;
	struct peermr_descriptor region; /* PEERMR_EVENT_REGION; PEER_FAILED: its id alone */
	/*
	 * PEERMR_EVENT_REGION: as last read; when it is older than region.generation,
	 * what was written before may be gone.
	 */
	uint64_t previous_generation;
};

/* The oldest event that was not read. -EAGAIN, without an error text, when there is none. */
PEERMR_PUBLIC int peermr_connection_next_event(struct peermr_connection *connection,
					       struct peermr_connection_event *event);

#ifdef __cplusplus
}
#endif

#endif
