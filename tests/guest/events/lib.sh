# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the tests of events share. Sourced first.
# shellcheck source=../pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=../lib/devices.sh
. /src/tests/guest/lib/devices.sh
export LAB_NIC0 LAB_NIC1 LAB_NVME LAB_PMR_BAR LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_MEM0 LAB_MEM1 LAB_MEM_BAR
modprobe dmabuf_watch

# bind_all DRIVER: everything that has memory. The two memory devices share a group: a hot reset reaches both.
bind_all() {
  local device
  for device in "$LAB_NVME" "$LAB_MEM0" "$LAB_MEM1" "$LAB_IVSHMEM"; do
    [[ ! -e /sys/bus/pci/devices/$device ]] || bind "$device" "$1" || fail "$device: $1 does not take it"
  done
}

# run_for_both ARGUMENTS...: exporter_events under either driver.
run_for_both() {
  local driver
  status=0
  for driver in peermr_vfio vfio-pci; do
    bind_all "$driver"
    "$programs/exporter_events" "$@" || status=$?
  done
}

# end_events: the test's result, after the devices' checks of themselves. $status: that of the programs.
end_events() {
  bind_all vfio-pci
  check_no_objects "$LAB_NIC0"
  check_no_objects "$LAB_NIC1"
  check_self
  ((!status)) || fail "status $status"
}
