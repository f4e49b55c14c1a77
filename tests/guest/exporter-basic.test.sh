#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# The exporter by raw ioctls: what it exports and refuses, the states of a buffer, mmap.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_NIC1 LAB_NVME LAB_PMR_BAR LAB_IVSHMEM LAB_IVSHMEM_BAR

use_exporter
"$programs/exporter_basic" "$@" || fail "status $?"
check_no_objects "$LAB_NIC0"
check_self
