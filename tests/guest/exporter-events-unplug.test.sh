#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 180
# boot: own
# Hot unplug of a device that a peer writes into and its user has open, and what its plugging in again leads to.
# shellcheck source-path=SCRIPTDIR source=events/lib.sh
. /src/tests/guest/events/lib.sh

run_for_both "$@" ivshmem "unplug, close"
end_events
