#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# boot: own
# The system suspends its devices and resumes them while a peer writes into a VFIO device.
# shellcheck source-path=SCRIPTDIR source=events/lib.sh
. /src/tests/guest/events/lib.sh

run_for_both nvme suspend
end_events
