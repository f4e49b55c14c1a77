#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Private memory: no way to it, by no descriptor and no importer; and the NIC's driver asks.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_MEM0 LAB_MEM_BAR LAB_MEM_BAR2

use_exporter "$LAB_MEM0"
modprobe peermr_test_importer
# Both the NIC's driver and the exporter say EPERM; only the log tells that the driver asked first.
asked() { dmesg | grep -c "$LAB_NIC0: a dma-buf .* is private memory.*: not imported" || true; }
before=$(asked)
"$programs/exporter_private" "$@" || fail "status $?"
(($(asked) > before)) || fail "the NIC's driver did not ask"
modprobe -r peermr_test_importer
check_self
