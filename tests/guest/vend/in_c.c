/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vend_in_c RDMA-DEVICE OTHER-RDMA-DEVICE STREAM: a vendor and a borrower, in C.
 *
 * The borrower's slice is streamed into by another program, STREAM, while the
 * device is reset; then a loan runs out with its memory region registered.
 */
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <peermr/peermr.h>
#include <peermr/peermr_vend.h>
#include <peermr/peermr_watch.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLICES = 2, SLICE_BYTES = 64 << 10, RESETS = 5 };

static struct peermr_vendor *vendor;
static struct peermr_borrower *borrower;
static struct peermr_monitor *monitor;
static struct ibv_pd *pd;
static unsigned int events[PEERMR_VENDOR_DEVICE_GONE + 1];

#define EXPECT(condition) ((condition) ? (void)0 : give_up(__LINE__, #condition))

static void give_up(int line, const char *what)
{
	fprintf(stderr, "in_c.c:%d: not so: %s; the library says: %s\n", line, what,
		peermr_last_error());
	exit(1);
}

static unsigned int time_scale(void)
{
	const char *scale = getenv("LAB_TIME_SCALE");

	return scale ? (unsigned int)atoi(scale) : 1;
}

static void pause_ms(unsigned int ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

/* In the vendor's thread. */
static void note(const struct peermr_vendor_event *event, void *context)
{
	(void)context;
	if (event->kind >= 0 && event->kind <= PEERMR_VENDOR_DEVICE_GONE)
		__atomic_add_fetch(&events[event->kind], 1, __ATOMIC_RELAXED);
	if (event->error[0] != '\0')
		fprintf(stderr, "vendor: %s\n", event->error);
}

static unsigned int seen(enum peermr_vendor_event_kind kind)
{
	return __atomic_load_n(&events[kind], __ATOMIC_RELAXED);
}

static struct ibv_pd *open_device(const char *name)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;

	for (int i = 0; devices && devices[i]; ++i)
		if (strcmp(ibv_get_device_name(devices[i]), name) == 0)
			context = ibv_open_device(devices[i]);
	EXPECT(context != NULL);
	return ibv_alloc_pd(context);
}

static struct peermr_loan_status status_of(const struct peermr_loan *loan)
{
	struct peermr_loan_status status = { .size = sizeof(status) };

	EXPECT(peermr_loan_query(loan, &status) == 0);
	return status;
}

static struct peermr_loan *borrow(uint64_t lease_time_ms)
{
	const struct peermr_borrow_options options = { .size = sizeof(options),
						       .min_bytes = SLICE_BYTES,
						       .lease_time_ms = lease_time_ms,
						       .wait_ms = 10000 };
	struct peermr_loan *loan = NULL;

	EXPECT(peermr_borrower_borrow(borrower, &options, &loan) == 0);
	EXPECT(status_of(loan).live == 1);
	EXPECT(status_of(loan).slice_bytes == SLICE_BYTES);
	return loan;
}

static struct peermr_region *register_loan(const struct peermr_loan *loan)
{
	const struct peermr_region_options options = { .size = sizeof(options),
						       .monitor = monitor };
	struct peermr_dma_buf *buffer = NULL;
	struct peermr_region *region = NULL;

	EXPECT(peermr_loan_buffer(loan, &buffer) == 0);
	EXPECT(peermr_dma_buf_size(buffer) == SLICE_BYTES);
	EXPECT(peermr_region_register(pd, buffer, &options, &region) == 0);
	peermr_dma_buf_close(buffer);
	return region;
}

/* Runs the stream on the loan's dma-buf; its output comes from the descriptor returned. */
static int start_stream(char **argv, const struct peermr_loan *loan, pid_t *pid)
{
	char number[16];
	int output[2];

	EXPECT(pipe(output) == 0);
	*pid = fork();
	EXPECT(*pid >= 0);
	if (*pid != 0) {
		close(output[1]);
		return output[0];
	}
	dup2(output[1], STDOUT_FILENO);
	snprintf(number, sizeof(number), "%d", dup(peermr_loan_fd(loan)));
	execl(argv[3], argv[3], number, argv[1], argv[2], (char *)NULL);
	_exit(127);
}

/* The device is reset under the stream; the loan stays, and the borrower is told. */
static void stream_through_resets(char **argv)
{
	struct peermr_loan *loan = borrow(0);
	const uint64_t before = status_of(loan).generation;
	unsigned int generations = 0;
	int status = -1;
	char line[128];
	pid_t pid;
	FILE *from = fdopen(start_stream(argv, loan, &pid), "r");

	EXPECT(from && fgets(line, sizeof(line), from)); /* it is under way */
	for (int i = 0; i < RESETS; ++i) {
		EXPECT(peermr_vendor_reset(vendor) == 0);
		pause_ms(20 * time_scale());
	}
	while (fgets(line, sizeof(line), from))
		generations += strncmp(line, "generation", 10) == 0;
	fclose(from);
	EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	EXPECT(generations > 0);
	EXPECT(peermr_borrower_process(borrower) == 0);
	EXPECT(status_of(loan).generation == before + RESETS);
	EXPECT(seen(PEERMR_VENDOR_GENERATION) > 0);
	EXPECT(peermr_loan_renew(loan, 0) == 0);
	EXPECT(peermr_loan_give_back(loan, 0) == 0);
	EXPECT(status_of(loan).end == PEERMR_LOAN_GIVEN_BACK);
	peermr_loan_close(loan);
	printf("streamed through %u generations: %s", generations, line);
}

/* A loan that runs out takes the memory away, though a region is registered. */
static void overstay(void)
{
	struct peermr_loan *loan = borrow(200 * time_scale());
	struct peermr_region *region = register_loan(loan);
	struct pollfd told = { .fd = peermr_borrower_fd(borrower), .events = POLLIN };
	struct peermr_slice slices[SLICES];
	struct peermr_keys keys;

	EXPECT(peermr_region_keys(region, &keys) == 0 && keys.length == SLICE_BYTES);
	while (status_of(loan).end == PEERMR_LOAN_NOT_ENDED) {
		EXPECT(poll(&told, 1, 10000 * (int)time_scale()) == 1);
		EXPECT(peermr_borrower_process(borrower) == 0);
	}
	EXPECT(status_of(loan).end == PEERMR_LOAN_OVERDUE);
	EXPECT(peermr_loan_renew(loan, 0) == -ENODEV);
	EXPECT(peermr_region_report_completion(region, IBV_WC_REM_ACCESS_ERR, keys.generation) !=
	       PEERMR_COMPLETION_UNRELATED);
	EXPECT(peermr_region_recover(region, 100000000) < 0);
	EXPECT(peermr_region_close(region) == 0);
	peermr_loan_close(loan);
	for (int tries = 0; tries < 500 && seen(PEERMR_VENDOR_TAKEN_BACK) < 2; ++tries)
		pause_ms(20 * time_scale());
	EXPECT(seen(PEERMR_VENDOR_TAKEN_BACK) == 2);
	EXPECT(peermr_vendor_loans(vendor, slices, SLICES) == SLICES);
	for (int i = 0; i < SLICES; ++i)
		EXPECT(slices[i].state == PEERMR_SLICE_FREE ||
		       slices[i].state == PEERMR_SLICE_CLEARING);
	printf("a loan that was overdue gives no access\n");
}

int main(int argc, char **argv)
{
	struct peermr_vendor_options options = { .size = sizeof(options),
						 .socket = "./c.sock",
						 .offset = 1 << 20,
						 .length = SLICES * SLICE_BYTES,
						 .slice_bytes = SLICE_BYTES,
						 .on_event = note };
	struct peermr_vendor_info info = { .size = sizeof(info) };
	struct peermr_device *device = NULL;

	EXPECT(argc == 4);
	pd = open_device(argv[1]);
	EXPECT(peermr_monitor_create(1, &monitor) == 0);
	EXPECT(peermr_device_open(getenv("LAB_IVSHMEM"), &device) == 0);
	options.bar = (uint32_t)atoi(getenv("LAB_IVSHMEM_BAR"));
	options.lease_time_ms = 60000 * time_scale();
	EXPECT(peermr_vendor_create(device, &options, &vendor) == 0);
	EXPECT(peermr_borrower_connect("./c.sock", 0, &borrower) == 0);
	EXPECT(peermr_borrower_vendor(borrower, &info) == 0);
	EXPECT(info.slices == SLICES && info.slice_bytes == SLICE_BYTES && info.flags == 0);

	stream_through_resets(argv);
	overstay();

	peermr_borrower_close(borrower);
	EXPECT(peermr_vendor_stop(vendor, 10000 * time_scale()) == 0);
	EXPECT(seen(PEERMR_VENDOR_LOST) == 0);
	peermr_vendor_close(vendor);
	EXPECT(peermr_device_close(device) == 0);
	peermr_monitor_close(monitor);
	return 0;
}
