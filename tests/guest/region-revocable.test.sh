#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Regions of an importer that pins and lets go once (dmabuf_import=revocable), with both exporters.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

parameter=/sys/module/pnic/parameters/dmabuf_import
[[ $(<"$parameter") == faultable ]] || fail "not the default: $(<"$parameter")"
if echo sometimes >"$parameter" 2>/dev/null; then fail "took a kind of import that does not exist"; fi
echo revocable >"$parameter"
trap 'echo faultable >"$parameter"' EXIT

"$programs/region_revocable" || fail "mainline's exporter: status $?"
use_exporter "$LAB_IVSHMEM"
trap 'echo faultable >"$parameter"; give_back' EXIT
"$programs/region_revocable" || fail "our exporter: status $?"
check_no_objects "$LAB_NIC0"
check_self
