#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 240
# Revokes that wait for importers: at once, late, never; with fences; 4096 of them.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_MEM0 LAB_MEM_BAR

use_exporter "$LAB_MEM0" "$LAB_IVSHMEM"
modprobe peermr_test_importer
"$programs/exporter_waiting" "$@" || fail "status $?"
[[ $(</sys/module/peermr_test_importer/refcnt) == 0 ]] || fail "the importer is left open"
modprobe -r peermr_test_importer
check_self
