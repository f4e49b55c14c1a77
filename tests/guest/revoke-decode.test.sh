#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Memory decode of a VFIO device is turned off under traffic: what waits, what fails, what goes on.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

"$programs/revoke_decode" "$@" || fail "status $?"
check_no_objects "$LAB_NIC0"
check_no_objects "$LAB_NIC1"
check_self
