#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 180
# The exporters through every failure of an allocation. Needs the debug kernel.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source-path=SCRIPTDIR source=lib/debug-kernel.sh
. /src/tests/guest/lib/debug-kernel.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_MEM0 LAB_MEM_BAR

need_debug_kernel FAULT_INJECTION
use_exporter
trap 'give_back; bind "$LAB_MEM0" vfio-pci' EXIT
bind "$LAB_MEM0" peermr_bar || fail "$LAB_MEM0: no exporter"
modprobe dmabuf_watch
"$programs/fault_exporter" "$@" || fail "status $?"
check_no_buffers
check_no_objects "$LAB_NIC0"
check_self
