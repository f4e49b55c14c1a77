#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# boot: own
# What comes of mainline's blindness to a reset through sysfs: the NIC writes into a device that does not answer, and its
# check of itself, which nothing clears again, says so.
# shellcheck source-path=SCRIPTDIR source=events/lib.sh
. /src/tests/guest/events/lib.sh

bind_all vfio-pci
"$programs/exporter_events" "$@" nvme "sysfs reset" || fail "nvme: status $?"
"$programs/exporter_events" "$@" mem0 "sysfs reset" || fail "mem0: status $?"
