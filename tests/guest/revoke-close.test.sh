#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 240
# A VFIO device is closed, or its owner killed, in the middle of traffic.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

"$programs/revoke_close" --gtest_filter='-AfterKills.*' || fail "status $?"
"$programs/revoke_close" --gtest_filter='AfterKills.*' || fail "after the kills: status $?"
check_no_objects "$LAB_NIC0"
check_no_objects "$LAB_NIC1"
check_self
