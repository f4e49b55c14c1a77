#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Fuzzes the exporters' ioctls, and writes to configuration space, while importers hold what they export.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_NIC1 LAB_NVME LAB_PMR_BAR LAB_IVSHMEM LAB_MEM0 LAB_MEM_BAR

use_exporter
trap 'give_back; bind "$LAB_MEM0" vfio-pci' EXIT
bind "$LAB_MEM0" peermr_bar || fail "$LAB_MEM0: no exporter"
"$programs/exporter_fuzz" --seconds $((20 * LAB_TIME_SCALE)) "$@" || fail "status $?"
check_no_buffers
check_no_objects "$LAB_NIC0"
check_self
