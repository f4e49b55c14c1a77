#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# The library opens devices by character device and iommufd, with mainline's driver and with ours.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=lib/devices.sh
. /src/tests/guest/lib/devices.sh
# shellcheck source=lib/debug-kernel.sh
. /src/tests/guest/lib/debug-kernel.sh
export LAB_NIC0 LAB_NIC1 LAB_MEM0 LAB_MEM_BAR

need_debug_kernel IOMMUFD VFIO_DEVICE_CDEV
modprobe iommufd || fail "modprobe iommufd: status $?"
trap 'bind "$LAB_MEM0" vfio-pci' EXIT
for driver in vfio-pci peermr_vfio; do
  bind "$LAB_MEM0" "$driver" || fail "status $?"
  "$programs/cdev" "$@" || fail "$driver: status $?"
done
check_no_objects "$LAB_NIC0"
check_self
