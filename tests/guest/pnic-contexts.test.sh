#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 60
# Contexts end while others begin, all with doorbell pages, queues and keys of their own: what one gives up, the device gives
# to the next at once, and nobody minds.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

"$programs/churn" "$LAB_NIC0" $((8 * LAB_TIME_SCALE)) 8 steady || fail "status $?"
check_no_objects "$LAB_NIC0"
check_self
