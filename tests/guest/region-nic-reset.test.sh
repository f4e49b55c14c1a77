#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 180
# Resets of the NIC under regions, with both exporters.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

modprobe dmabuf_watch
"$programs/region_nic_reset" || fail "mainline's exporter: status $?"
use_exporter "$LAB_IVSHMEM"
"$programs/region_nic_reset" || fail "our exporter: status $?"
check_no_buffers
check_no_objects "$LAB_NIC0"
check_self
