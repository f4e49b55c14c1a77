#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Mainline's export and a registration on the NIC, through every failure of an allocation. Needs the debug kernel.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source-path=SCRIPTDIR source=lib/debug-kernel.sh
. /src/tests/guest/lib/debug-kernel.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

need_debug_kernel FAULT_INJECTION
"$programs/fault_mainline" || fail "status $?"
check_no_objects "$LAB_NIC0"
check_self
