#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Device memory in a type1 container, and what a revoke does not reach there.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_NVME LAB_IVSHMEM LAB_IVSHMEM_BAR

use_exporter "$LAB_IVSHMEM"
"$programs/exporter_type1" "$@" || fail "status $?"
check_self
