#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# The cases that the selftest proposed for mainline walks through.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_IVSHMEM LAB_MEM0 LAB_MEM_BAR LAB_MEM_BAR2

use_exporter "$LAB_MEM0" "$LAB_IVSHMEM"
"$programs/exporter_selftest" "$@" || fail "status $?"
check_self
