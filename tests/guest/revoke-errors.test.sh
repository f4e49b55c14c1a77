#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch refused
# timeout: 120
# Regions that cannot be made say why: memory revoked, no path, an importer without dma-bufs.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

if [[ $LAB_TOPOLOGY == refused ]]; then
  "$programs/revoke_errors" --gtest_filter='RefusedPath.*' || fail "status $?"
  exit 0
fi
modprobe -a dummy rdma_rxe
ip link add peermr0 type dummy
ip link set peermr0 up
rdma link add rxe0 type rxe netdev peermr0
"$programs/revoke_errors" --gtest_filter='-RefusedPath.*' || fail "status $?"
rdma link delete rxe0
ip link delete peermr0
check_no_objects "$LAB_NIC1"
check_self
