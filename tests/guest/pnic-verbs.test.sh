#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# What the driver checks and reports: attributes, host memory, events, bad input.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
export LAB_NIC0

"$programs/pnic_verbs" || fail "status $?"
check_no_objects "$LAB_NIC0"
check_self
