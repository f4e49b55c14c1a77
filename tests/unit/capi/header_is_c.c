/* SPDX-License-Identifier: BSD-2-Clause */
#include "peermr/peermr.h"
#include "peermr/peermr_cache.h"
#include "peermr/peermr_events.h"
#include "peermr/peermr_watch.h"

/* Compiled as C: the header must be. Called by capi_test.cpp. */
int open_from_c(const char *bdf)
{
	struct peermr_region_options options = { .size = sizeof(options) };
	struct peermr_device *device = 0;

	(void)options;
	return peermr_device_open(bdf, &device);
}
