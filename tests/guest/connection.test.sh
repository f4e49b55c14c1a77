#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 240
# A stream into a BAR across resets: both kinds of importer, memory that is kept and memory that is not.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=lib/devices.sh
. /src/tests/guest/lib/devices.sh
export LAB_NIC0 LAB_NIC1 LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_MEM1 LAB_MEM_BAR

parameter=/sys/module/pnic/parameters/dmabuf_import
IMPORT=faultable "$programs/connection" || fail "faultable, stable keys: status $?"
echo revocable >"$parameter"
trap 'echo faultable >"$parameter"' EXIT
IMPORT=revocable "$programs/connection" || fail "revocable, fresh keys: status $?"
check_no_objects "$LAB_NIC0"
check_no_objects "$LAB_NIC1"
check_self
