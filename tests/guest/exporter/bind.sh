# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Puts the BAR devices under the exporter, and back. Sourced after pnic/lib.sh.
# shellcheck source=../lib/devices.sh
. /src/tests/guest/lib/devices.sh

give_back() {
  local device
  for device in "${exporters[@]}"; do
    bind "$device" vfio-pci
  done
}

# use_exporter [BDF...]: these devices (default: NVMe, ivshmem) under peermr_vfio until the test ends, then back under
# vfio-pci. A test must not replace the EXIT trap.
use_exporter() {
  local device
  exporters=("$@")
  (($#)) || exporters=("$LAB_NVME" "$LAB_IVSHMEM")
  trap give_back EXIT
  for device in "${exporters[@]}"; do
    bind "$device" peermr_vfio || fail "$device: no exporter"
  done
}

# check_no_buffers: nobody holds an exported buffer. What a work queue frees is gone a little later.
check_no_buffers() {
  local left tries
  for ((tries = 0; tries < 50; tries++)); do
    left=$(grep '^buffer' /sys/kernel/debug/peermr_export/* || true)
    [[ -n $left ]] || return 0
    sleep 0.1
  done
  fail "buffers are left: $left"
}
