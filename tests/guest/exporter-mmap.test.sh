#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Mappings of buffers: moved, forked, huge, write-combining, and never kept past a revoke.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

use_exporter "$LAB_IVSHMEM"
"$programs/exporter_mmap" "$@" || fail "status $?"
check_self
