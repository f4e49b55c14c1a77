#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# MRs on the memory of a VFIO-owned device, and what happens to them when it goes away.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

"$programs/pnic_dmabuf" --gtest_filter=-NoPath.* || fail "status $?"
check_no_objects "$LAB_NIC0"
check_self
