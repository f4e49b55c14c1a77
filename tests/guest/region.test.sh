#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# The library's regions on a VFIO-owned BAR: data, revokes, resets under traffic, errors.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
export LAB_TOPOLOGY LAB_NIC0 LAB_NIC1 LAB_NVME LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_PMR_BAR

# An importer that cannot: without it that one test skips itself.
if modprobe rdma_rxe && rdma link add rxe0 type rxe netdev lo; then
  trap 'rdma link delete rxe0' EXIT
fi
"$programs/region" || fail "status $?"
for bar in "$LAB_IVSHMEM $LAB_IVSHMEM_BAR" "$LAB_NVME $LAB_PMR_BAR"; do
  # shellcheck disable=SC2086 # two words
  "$programs/peermr-example-write-to-bar" $bar "$(ib_name "$LAB_NIC0")" || fail "example: $bar"
done
check_no_objects "$LAB_NIC0"
check_self
