/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libpeermr for C: slices of a BAR, lent to other processes as dma-bufs over a
 * UNIX socket, each for a time. docs/vending.md has what is promised, and the
 * protocol. The rules of peermr/peermr.h hold; peermr/vend.hpp and
 * peermr/borrow.hpp say more.
 *
 * Null where it isn't said to be allowed is -EINVAL. Structs that have a `size`:
 * zero all, set it to the struct's, then what differs, for structs that are read.
 */
#ifndef PEERMR_PEERMR_VEND_H
#define PEERMR_PEERMR_VEND_H

#include <stddef.h>
#include <stdint.h>

#include "peermr/peermr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why a loan ended. */
enum peermr_loan_end {
	PEERMR_LOAN_NOT_ENDED = 0,
	PEERMR_LOAN_GIVEN_BACK = 1, /* the borrower gave it back */
	PEERMR_LOAN_OVERDUE = 2, /* its lease time ran out */
	PEERMR_LOAN_BORROWER_GONE = 3, /* the borrower's connection ended */
	PEERMR_LOAN_VENDOR_STOPS = 4,
	PEERMR_LOAN_DEVICE_GONE = 5,
	PEERMR_LOAN_VENDOR_GONE = 6, /* told to borrowers only: the vendor's connection ended */
};

/* ---- The vendor ----------------------------------------------------------- */

struct peermr_vendor;

enum peermr_slice_state {
	PEERMR_SLICE_FREE = 0, /* can be lent */
	PEERMR_SLICE_CLEARING = 1, /* being set to zero */
	PEERMR_SLICE_LENT = 2,
	PEERMR_SLICE_TAKING = 3, /* being taken back: waits for importers */
	PEERMR_SLICE_LOST = 4, /* could not be taken back or cleared; never lent again */
};

/* A slice, and who has it. */
struct peermr_slice {
	uint64_t loan; /* LENT, TAKING; the numbers of loans begin with 1 */
	uint64_t expires_ns; /* LENT; CLOCK_MONOTONIC */
	uint32_t slice;
	int32_t state; /* enum peermr_slice_state */
	int32_t pid; /* of the borrower, when it connected */
	uint32_t uid;
	int32_t end; /* TAKING: why; enum peermr_loan_end */
	uint32_t reserved;
};

enum peermr_vendor_event_kind {
	PEERMR_VENDOR_LENT = 0,
	PEERMR_VENDOR_RENEWED = 1,
	PEERMR_VENDOR_ENDED = 2, /* the slice is being taken back; slice.end says why */
	PEERMR_VENDOR_TAKEN_BACK = 3, /* nothing reaches it through that loan any more */
	PEERMR_VENDOR_FREE = 4, /* it can be lent again */
	PEERMR_VENDOR_REFUSED = 5, /* a borrower was disconnected, as one that breaks the protocol */
	PEERMR_VENDOR_WAITING = 6, /* for a second: an importer does not let go */
	PEERMR_VENDOR_LOST = 7,
	PEERMR_VENDOR_GENERATION = 8, /* the memory was revoked; borrowers are told */
	PEERMR_VENDOR_DEVICE_GONE = 9, /* nothing is lent from now on */
};

/* What happened to a slice, or to all. */
struct peermr_vendor_event {
	int32_t kind; /* enum peermr_vendor_event_kind */
	uint32_t reserved;
	/* REFUSED: of pid and uid only; GENERATION, DEVICE_GONE: all 0. */
	struct peermr_slice slice;
	uint64_t generation; /* LENT, GENERATION */
	uint64_t took_ns; /* TAKEN_BACK, FREE: the taking back, the clearing */
	const char *error; /* REFUSED, LOST: why; else "". Valid during the call. */
};

/* Borrowers may mmap their slices: a hazard where VFIO type1 is in use, see docs/vending.md. */
#define PEERMR_VEND_MAPPABLE 1u
/* Slices are lent with what the borrower before left in them, else zero. */
#define PEERMR_VEND_KEEP_CONTENT 2u
/* options.socket_group counts. */
#define PEERMR_VEND_SOCKET_GROUP 4u
/* No thread of the library's: the caller's loop, with peermr_vendor_fd(). */
#define PEERMR_VEND_OWN_LOOP 8u

/* 0 is the default in parentheses. */
struct peermr_vendor_options {
	size_t size; /* sizeof(struct peermr_vendor_options) */
	const char *socket; /* path of the socket to make */
	uint64_t offset; /* of what is lent, within the BAR; page-aligned */
	uint64_t length; /* (up to the BAR's end) */
	uint64_t slice_bytes; /* a multiple of the page size */
	uint64_t lease_time_ms; /* the longest without being renewed (30 s) */
	uint32_t bar; /* 0 to 5 */
	uint32_t flags; /* PEERMR_VEND_* */
	uint32_t socket_mode; /* (0600) */
	uint32_t socket_group;
	uint32_t max_borrowers; /* connections (64) */
	uint32_t max_per_borrower; /* slices (any number) */
	uint32_t max_per_user; /* slices of all connections of a user id (any number) */
	uint32_t reserved; /* 0 */
	/*
	 * Called after each event, by the thread that does the work. It may call
	 * peermr_vendor_loans(); it must not block. May be null.
	 */
	void (*on_event)(const struct peermr_vendor_event *event, void *context);
	void *context;
};

/*
 * Lends slices of a BAR of `device`, which is borrowed: close it after the vendor,
 * and reset it by peermr_vendor_reset() only. Others of its functions may be used.
 *   -EINVAL      slice size, range or options
 *   -EOPNOTSUPP  the device's exporter cannot revoke a buffer for good
 *   -ENODEV      the device is closed
 *   others       of making a socket (-EADDRINUSE, -EACCES, ...), epoll or a thread
 */
PEERMR_PUBLIC int peermr_vendor_create(struct peermr_device *device,
				       const struct peermr_vendor_options *options,
				       struct peermr_vendor **vendor);

/* With PEERMR_VEND_OWN_LOOP: when it is readable, call process. Borrowed; never read from it. */
PEERMR_PUBLIC int peermr_vendor_fd(const struct peermr_vendor *vendor);

/* Does what there is to do; does not block. -EPERM: a thread of the library's does it. */
PEERMR_PUBLIC int peermr_vendor_process(struct peermr_vendor *vendor);

/*
 * Up to `count` of all slices, in order. Returns how many there are, so with 0 (and
 * `slices` null) for how many to make room.
 */
PEERMR_PUBLIC int peermr_vendor_loans(const struct peermr_vendor *vendor,
				      struct peermr_slice *slices, size_t count);

/*
 * Resets the device while slices are lent: importers are revoked and restored,
 * loans stay, and borrowers are told the new generation. As peermr_device_reset().
 */
PEERMR_PUBLIC int peermr_vendor_reset(struct peermr_vendor *vendor);

/*
 * Lends nothing more, ends all loans, and waits up to `limit_ms` until all was taken
 * back. Returns how many slices an importer still holds; peermr_vendor_loans() says
 * which. The socket is gone afterwards.
 */
PEERMR_PUBLIC int peermr_vendor_stop(struct peermr_vendor *vendor, uint64_t limit_ms);

/* As stop without a limit: waits until all slices were taken back. */
PEERMR_PUBLIC void peermr_vendor_close(struct peermr_vendor *vendor);

/* ---- The borrower --------------------------------------------------------- */

struct peermr_borrower;
struct peermr_loan;

/*
 * Connects to the vendor at the socket `path`, and receives its greeting, within
 * `limit_ms` (0: 10 s).
 *   -EINVAL      something else listens there
 *   -EOPNOTSUPP  it speaks another version of the protocol
 *   -ETIMEDOUT   it says nothing
 *   others       of connect(): -ENOENT, -ECONNREFUSED, -EACCES, -EPROTOTYPE
 */
PEERMR_PUBLIC int peermr_borrower_connect(const char *path, uint64_t limit_ms,
					  struct peermr_borrower **borrower);

/* What a vendor says of itself. Set `size` before the call. */
struct peermr_vendor_info {
	size_t size; /* sizeof(struct peermr_vendor_info) */
	const char *name; /* "0000:04:00.0 BAR 4"; valid until the borrower is closed */
	uint64_t slice_bytes;
	uint64_t lease_time_ms; /* the longest */
	uint32_t slices;
	uint32_t flags; /* PEERMR_VEND_MAPPABLE, PEERMR_VEND_KEEP_CONTENT */
};

PEERMR_PUBLIC int peermr_borrower_vendor(const struct peermr_borrower *borrower,
					 struct peermr_vendor_info *info);

struct peermr_borrow_options {
	size_t size; /* sizeof(struct peermr_borrow_options) */
	uint64_t min_bytes; /* the slice has at least so many */
	uint64_t lease_time_ms; /* 0: the longest that the vendor gives */
	uint64_t wait_ms; /* for a slice to become free, a day at most; 0: now or never */
};

/*
 * Borrows a slice. Blocks for the answer: wait_ms, 10 s, and the time to clear a
 * slice at most. `options` may be null.
 *   -EBUSY       none is free
 *   -ETIMEDOUT   none became free
 *   -EDQUOT      this borrower or user has as many as it may
 *   -EINVAL      slices are smaller than that, or options
 *   -EAGAIN      the device's memory is away
 *   -ESHUTDOWN   the vendor stops
 *   -ECONNRESET  the vendor is gone
 */
PEERMR_PUBLIC int peermr_borrower_borrow(struct peermr_borrower *borrower,
					 const struct peermr_borrow_options *options,
					 struct peermr_loan **loan);

/* Borrowed: readable when the vendor has said something. Then call process. */
PEERMR_PUBLIC int peermr_borrower_fd(const struct peermr_borrower *borrower);

/*
 * Reads what the vendor has said, so that peermr_loan_query() knows; does not
 * block. -ECONNRESET: the vendor is gone, and all loans with it; -EINVAL: it breaks
 * the protocol.
 */
PEERMR_PUBLIC int peermr_borrower_process(struct peermr_borrower *borrower);

/* Loans outlive it, and keep the connection open. */
PEERMR_PUBLIC void peermr_borrower_close(struct peermr_borrower *borrower);

/* ---- Loans ---------------------------------------------------------------- */

/*
 * When a loan ends, the vendor takes the memory away whatever the borrower does:
 * memory regions on it fail from then on, for good.
 */

/* Borrowed: the dma-buf's descriptor, close-on-exec. */
PEERMR_PUBLIC int peermr_loan_fd(const struct peermr_loan *loan);

/* The dma-buf, to register regions on; closed by its own function. */
PEERMR_PUBLIC int peermr_loan_buffer(const struct peermr_loan *loan,
				     struct peermr_dma_buf **buffer);

/* What a loan is now, as far as messages were read. Set `size` before the call. */
struct peermr_loan_status {
	size_t size; /* sizeof(struct peermr_loan_status) */
	uint64_t number; /* the vendor's, for the loan */
	uint64_t slice_bytes;
	/* Counts the revokes of the device's memory, as the vendor does: when it changes, what was
	 * written before may be gone. */
	uint64_t generation;
	uint64_t expires_ns; /* CLOCK_MONOTONIC; never later than the vendor thinks */
	uint32_t slice;
	int32_t end; /* enum peermr_loan_end */
	uint32_t live; /* 1: not ended, and time is left */
	uint32_t reserved;
};

/* Does not block. It knows what peermr_borrower_process() or an answer has read. */
PEERMR_PUBLIC int peermr_loan_query(const struct peermr_loan *loan,
				    struct peermr_loan_status *status);

/*
 * From now on for `lease_time_ms` (0: the longest). Blocks for the answer, 10 s at
 * most. -ENODEV: the loan has ended; -ETIMEDOUT; -ECONNRESET: the vendor is gone.
 */
PEERMR_PUBLIC int peermr_loan_renew(struct peermr_loan *loan, uint64_t lease_time_ms);

/*
 * Ends the loan and waits until nothing reaches the slice through it: deregister
 * what was registered first. Giving back twice succeeds. `limit_ms` 0: 10 s.
 *   -ETIMEDOUT   not within the limit, the loan being over all the same
 *   -ECONNRESET  the vendor is gone
 */
PEERMR_PUBLIC int peermr_loan_give_back(struct peermr_loan *loan, uint64_t limit_ms);

/* Gives the slice back, without waiting. */
PEERMR_PUBLIC void peermr_loan_close(struct peermr_loan *loan);

#ifdef __cplusplus
}
#endif

#endif
