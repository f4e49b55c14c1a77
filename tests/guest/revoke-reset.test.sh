#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 240
# A VFIO device is reset, again and again, while a peer writes into its memory.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

"$programs/revoke_reset" "$@" || fail "status $?"
check_no_objects "$LAB_NIC0"
check_no_objects "$LAB_NIC1"
check_self
