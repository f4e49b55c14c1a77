/* SPDX-License-Identifier: BSD-2-Clause */
#include "peermr/peermr.h"
#include "peermr/peermr_cache.h"
#include "peermr/peermr_connection.h"
#include "peermr/peermr_events.h"
#include "peermr/peermr_publication.h"
#include "peermr/peermr_qp.h"
#include "peermr/peermr_vend.h"
#include "peermr/peermr_watch.h"
#include "peermr/peermr_work.h"

/* Compiled as C: the headers must be. Called by capi_test.cpp. */
int open_from_c(const char *bdf)
{
	struct peermr_region_options options = { .size = sizeof(options) };
	struct peermr_device *device = 0;

	(void)options;
	return peermr_device_open(bdf, &device);
}

/* In C an enum may have any value. Called by events_test.cpp. */
int set_power_from_c(struct peermr_device *device, int power)
{
	return peermr_device_set_power(device, (enum peermr_power)power);
}
