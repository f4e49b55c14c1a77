# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What can befall a device happens when a test asks for it: errors, hot reset, unplugging, plugging, suspend.
# topology: switch root-ports
# timeout: 300
# boot: own
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/devices.sh
. /src/tests/guest/lib/devices.sh
# shellcheck source-path=SCRIPTDIR source=lib/hotplug.sh
. /src/tests/guest/lib/hotplug.sh
# shellcheck source-path=SCRIPTDIR source=lib/aer.sh
. /src/tests/guest/lib/aer.sh
# shellcheck source-path=SCRIPTDIR source=lib/suspend.sh
. /src/tests/guest/lib/suspend.sh

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
register() {
  setpci -s "$1" COMMAND=2:2
  echo $(($(busybox devmem $(($(head -n 1 "/sys/bus/pci/devices/$1/resource" | cut -d' ' -f1) + $2)) 32)))
}
# Without a driver, so that nobody puts it into D3hot: how often the platform has reset it.
platform_resets() {
  bind "$1" none && register "$1" 0x14 && bind "$1" vfio-pci
}

! qmp no-such-command 2>/dev/null || fail "the emulator did what it cannot"

before=$(platform_resets "$LAB_MEM1")
python3 /src/tests/guest/lib/hot_reset.py "$LAB_MEM0" --reset >/dev/null || fail "hot reset"
after=$(platform_resets "$LAB_MEM1")
((after > before)) || fail "a hot reset through function 0 did not reach function 1: $before, $after"

inject_error "$LAB_MEM0" nonfatal || fail "inject"
wait_until 10 errors_recovered 1 || fail "no recovery from an error that is not fatal"
inject_error "$LAB_MEM0" fatal || fail "inject"
wait_until 20 errors_recovered 2 || fail "no recovery from a fatal error"
stop_injecting || fail "aer_inject stays"
# A reset of the link empties the BAR registers, and without a user vfio-pci does not put them back: plugging does.
[[ $(setpci -s "$LAB_MEM1" 18.l) == 0000000c ]] || fail "a fatal error did not reset the link"

unplug mem0 "$LAB_MEM0" || fail "unplug"
wait_until 10 gone "$LAB_MEM1" || fail "its other function stayed"
plug_mem || fail "plug"
[[ $(driver_of "$LAB_MEM0") == vfio-pci ]] || fail "no driver after plugging"
[[ $(readlink "/sys/bus/pci/devices/$LAB_MEM0/iommu_group") == "$(readlink "/sys/bus/pci/devices/$LAB_MEM1/iommu_group")" ]] ||
  fail "plugged into different groups"
unplug ivshmem "$LAB_IVSHMEM" && plug_ivshmem none || fail "ivshmem"
[[ -z $(driver_of "$LAB_IVSHMEM") ]] || fail "plugged with a driver"
bind "$LAB_IVSHMEM" vfio-pci || fail "bind"

for state in freeze mem; do
  suspend_devices "$state" || fail "suspend: $state"
  ls /src >/dev/null || fail "9p after $state"
done
[[ $(dmesg | grep -c 'PM: suspend exit') == 2 ]] || fail "the log does not tell of two suspends"
both_back() { [[ -e /sys/class/infiniband/pnic0 && -e /sys/class/infiniband/pnic1 ]]; }
wait_until 10 both_back || fail "a NIC did not come back: $(ls /sys/class/infiniband)"
