#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# boot: own
# Mainline does not notice a reset through sysfs. In a guest of its own: when the NIC writes into the device while it does
# not answer, its check of itself says so, and nothing clears that again.
# shellcheck source-path=SCRIPTDIR source=events/lib.sh
. /src/tests/guest/events/lib.sh

bind_all vfio-pci
"$programs/exporter_events" "$@" nvme "sysfs reset" || fail "nvme: status $?"
"$programs/exporter_events" "$@" mem0 "sysfs reset" || fail "mem0: status $?"
