/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams numbered records into a ring in device memory, and reads the ring back.
 *
 *   peermr borrow --socket /run/slices -- \
 *     sh -c 'peermr-example-stream-to-dma-buf $PEERMR_LOAN_FD pnic0 pnic1'
 *
 * The memory is a dma-buf, here one that was borrowed. Its owner uses the first
 * RDMA device, the writer the second. Both are in this process, connected by a
 * socket pair; elsewhere the socket would be TCP's.
 */
#include <peermr/peermr_connection.h>
#include <peermr/peermr_watch.h>

#include <errno.h>
#include <infiniband/verbs.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* In records of 8 bytes. */
enum { RECORDS = 20480, HALF = 256, REGION = 1 };

static struct peermr_connection *owner, *writer;
static uint64_t written[2 * HALF], read_back[2 * HALF];
static unsigned int outstanding;
static int again; /* the memory was away, and what was in it may be gone */

static int check(int status)
{
	if (status >= 0)
		return status;
	fprintf(stderr, "%s\n", peermr_last_error());
	exit(1);
}

static struct ibv_pd *open_device(const char *name)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;

	for (int i = 0; devices && devices[i]; ++i)
		if (strcmp(ibv_get_device_name(devices[i]), name) == 0)
			context = ibv_open_device(devices[i]);
	if (!context) {
		fprintf(stderr, "%s: no such RDMA device\n", name);
		exit(1);
	}
	return ibv_alloc_pd(context);
}

/* Takes completions, and says how many. */
static int take_completions(void)
{
	struct peermr_completion done[32];
	const int count = check(peermr_connection_poll(writer, done, 32));

	outstanding -= (unsigned int)count;
	for (int i = 0; i < count; ++i) {
		if (done[i].status == PEERMR_WORK_FAILED) {
			fprintf(stderr, "%s\n", ibv_wc_status_str(done[i].wc_status));
			exit(1);
		}
		again |= done[i].status != PEERMR_WORK_SUCCESS;
	}
	return count;
}

/* Waits for either side to have something to do, and lets both do it. */
static void turn(void)
{
	struct pollfd waits[2] = { { .fd = peermr_connection_fd(owner), .events = POLLIN },
				   { .fd = peermr_connection_fd(writer), .events = POLLIN } };
	struct peermr_connection_event event;

	poll(waits, 2, 100);
	check(peermr_connection_process(owner));
	check(peermr_connection_process(writer));
	while (peermr_connection_next_event(writer, &event) == 0) {
		if (event.kind != PEERMR_EVENT_REGION)
			continue;
		printf("generation %" PRIu64 "\n", event.region.generation);
		fflush(stdout);
		again |= event.region.generation != event.previous_generation;
	}
	while (take_completions() > 0)
		continue;
}

/* Work on `count` records from `slot` on, of the ring in the device and of the one in `mr`. */
static void post(enum peermr_operation operation, uint64_t slot, uint32_t count, struct ibv_mr *mr)
{
	struct peermr_work work = { .size = sizeof(work),
				    .operation = operation,
				    .region = REGION,
				    .offset = slot * 8 };
	int status;

	if (mr) {
		work.local.address = (uintptr_t)mr->addr + slot * 8;
		work.local.length = count * 8;
		work.local.lkey = mr->lkey;
	}
	/* Full, or something has happened that turn() reads. */
	while ((status = peermr_connection_post(writer, &work)) == -EAGAIN ||
	       status == -ESTALE || status == -ECANCELED)
		turn();
	check(status);
	++outstanding;
}

/* Returns whether the records from `first` on are in the device's memory: half a ring of them. */
static int write_half(uint64_t first, struct ibv_mr *from, struct ibv_mr *to)
{
	const uint64_t slot = first % (2 * HALF);

	again = 0;
	for (uint64_t i = 0; i < HALF; ++i) {
		written[slot + i] = first + i + 1;
		post(PEERMR_WRITE, slot + i, 1, from);
	}
	post(PEERMR_PLACE, 0, 0, NULL);
	post(PEERMR_READ, slot, HALF, to);
	while (outstanding > 0)
		turn();
	if (again)
		return 0;
	if (memcmp(&written[slot], &read_back[slot], HALF * 8) == 0)
		return 1;
	fprintf(stderr, "the memory does not hold what was written\n");
	exit(1);
}

int main(int argc, char **argv)
{
	struct peermr_region_options options = { .size = sizeof(options), .length = sizeof(written) };
	struct peermr_monitor *monitor;
	struct peermr_dma_buf *buffer;
	struct peermr_region *region;
	struct peermr_descriptor told;
	struct ibv_pd *owners_pd, *writers_pd;
	struct ibv_mr *from, *to;
	int ends[2];

	if (argc != 4) {
		fprintf(stderr, "usage: %s DMA-BUF-FD OWNERS-RDMA-DEVICE WRITERS-RDMA-DEVICE\n", argv[0]);
		return 2;
	}
	owners_pd = open_device(argv[2]);
	writers_pd = open_device(argv[3]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return 1;

	/* The owner: a region, of which its peer is told. The monitor hears of resets. */
	check(peermr_connection_create(owners_pd, ends[0], NULL, &owner));
	check(peermr_monitor_create(1, &monitor));
	check(peermr_dma_buf_adopt(atoi(argv[1]), "the buffer", &buffer));
	options.monitor = monitor;
	check(peermr_region_register(owners_pd, buffer, &options, &region));
	check(peermr_connection_publish(owner, REGION, region));

	check(peermr_connection_create(writers_pd, ends[1], NULL, &writer));
	from = ibv_reg_mr(writers_pd, written, sizeof(written), 0);
	to = ibv_reg_mr(writers_pd, read_back, sizeof(read_back), IBV_ACCESS_LOCAL_WRITE);
	if (!from || !to)
		return 1;
	while (peermr_connection_remote_region(writer, REGION, &told) != 0)
		turn();

	for (uint64_t first = 0; first < RECORDS;) {
		if (write_half(first, from, to))
			first += HALF;
		else if (first > 0)
			first -= HALF; /* the ring's other half may be gone as well */
	}
	printf("%d records written and read back\n", RECORDS);

	peermr_connection_close(writer);
	peermr_connection_close(owner);
	check(peermr_region_close(region));
	peermr_dma_buf_close(buffer);
	peermr_monitor_close(monitor);
	return 0;
}
