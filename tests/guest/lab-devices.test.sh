# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Modules load by name with what they need, and devices change drivers and come back.
# topology: switch no-iommu
# timeout: 30
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/devices.sh
. /src/tests/guest/lib/devices.sh

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# Ours is known to modprobe with its dependencies, and a stock one is still found.
modprobe --show-depends pnic | grep -q '/ib_core\.ko' || fail "modprobe does not know what pnic needs"
modprobe rdma_rxe || fail "a stock module does not load"
[[ -d /sys/module/ib_core && -d /sys/module/udp_tunnel ]] || fail "its dependencies are not there"
modprobe -r rdma_rxe || fail "it does not unload"

device=$LAB_IVSHMEM
if [[ $LAB_TOPOLOGY == no-iommu ]]; then
  ! said=$(bind "$device" vfio-pci 2>&1) || fail "vfio-pci took a device without an IOMMU"
  [[ $said == *"vfio-pci did not take it"* ]] || fail "the message does not say so: $said"
  [[ -z $(driver_of "$device") ]] || fail "it has a driver: $(driver_of "$device")"
  exit 0
fi

bind "$device" none || fail "none"
[[ -z $(driver_of "$device") ]] || fail "it still has a driver"
# Without a driver it stays, even when all drivers are offered it.
echo "$device" >/sys/bus/pci/drivers_probe
[[ -z $(driver_of "$device") ]] || fail "a driver took it by itself"
bind "$device" pci-pf-stub || fail "a stock driver"
[[ $(driver_of "$device") == pci-pf-stub ]] || fail "it has '$(driver_of "$device")'"
bind "$device" vfio-pci || fail "from one driver to another"
bind "$device" vfio-pci || fail "to the same again"
unbind "$device" && unbind "$device" || fail "unbinding twice"
bind "$device" vfio-pci || fail "the way back"

! bind "$device" no_such_driver 2>/dev/null || fail "bound to a driver that does not exist"
! bind 0000:ff:1f.7 vfio-pci 2>/dev/null || fail "bound a device that does not exist"
! unbind 0000:ff:1f.7 2>/dev/null || fail "unbound a device that does not exist"
[[ $(driver_of "$device") == vfio-pci ]] || fail "errors changed the driver"
