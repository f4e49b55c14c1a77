#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 200
# Stock ibv_rc_pingpong between the two NICs and on one, over host memory.
# shellcheck source=/dev/null
. /src/tests/guest/pnic/lib.sh
for client in pnic1 pnic0; do
  CLIENT_NIC=$client /src/tests/stock/pingpong.sh env || fail "pnic0 and $client: status $?"
done
check_no_objects "$LAB_NIC0"
check_no_objects "$LAB_NIC1"
check_self
