/* SPDX-License-Identifier: BSD-2-Clause */
#include <infiniband/verbs.h>
#include <peermr/peermr.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The first RDMA device of the machine. */
static struct ibv_pd *make_pd(void)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *nic = NULL;

	if (devices && *devices)
		nic = ibv_open_device(*devices);
	if (devices)
		ibv_free_device_list(devices);
	return nic ? ibv_alloc_pd(nic) : NULL;
}

/* What a peer needs to read and write the memory, as it is now. */
static void print_keys(const struct peermr_region *region)
{
	struct peermr_keys keys;

	if (peermr_region_keys(region, &keys) == 0)
		printf("rkey 0x%" PRIx32 ", generation %" PRIu64 "\n",
		       keys.rkey, keys.generation);
	else
		puts("the memory is away now");
}

int main(int argc, char **argv)
{
	struct ibv_pd *pd = make_pd();
	struct ibv_context *nic = pd ? pd->context : NULL;
	struct peermr_dma_buf *buffer = NULL;
	struct peermr_region *region = NULL;
	int status;

	if (argc != 2 || !pd) {
		puts(pd ? "usage: first_region FD" : "there is no RDMA device");
		return EXIT_FAILURE;
	}
	status = peermr_dma_buf_adopt(atoi(argv[1]), NULL, &buffer);
	if (status == 0)
		status = peermr_region_register(pd, buffer, NULL, &region);
	if (status == 0)
		print_keys(region);
	else
		puts(peermr_last_error());
	peermr_region_close(region);
	peermr_dma_buf_close(buffer);
	ibv_dealloc_pd(pd);
	ibv_close_device(nic);
	return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
