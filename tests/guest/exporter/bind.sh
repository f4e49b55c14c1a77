# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Puts devices under the exporter, and back. Sourced after pnic/lib.sh.

# load_exporter: both modules.
load_exporter() {
  local module updates
  updates=/usr/lib/modules/$(uname -r)/updates
  for module in peermr_export peermr_vfio; do
    [[ -e /sys/module/$module ]] || insmod "$updates/$module.ko" || fail "insmod $module: status $?"
  done
}

# bind_driver DRIVER BDF...
bind_driver() {
  local driver=$1 bdf
  shift
  for bdf in "$@"; do
    echo "$driver" >"/sys/bus/pci/devices/$bdf/driver_override"
    [[ ! -e /sys/bus/pci/devices/$bdf/driver ]] || echo "$bdf" >"/sys/bus/pci/devices/$bdf/driver/unbind"
    echo "$bdf" >/sys/bus/pci/drivers_probe
    [[ $(readlink "/sys/bus/pci/devices/$bdf/driver") == */"$driver" ]] || fail "$bdf is not bound to $driver"
  done
}

# use_exporter: both BAR devices under peermr_vfio, until the test ends; then back under vfio-pci. A test must not
# replace the EXIT trap.
use_exporter() {
  load_exporter
  trap 'bind_driver vfio-pci $LAB_NVME $LAB_IVSHMEM' EXIT
  bind_driver peermr_vfio "$LAB_NVME" "$LAB_IVSHMEM"
}
