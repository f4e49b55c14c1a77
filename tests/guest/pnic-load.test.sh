#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 120
# The driver loads and unloads cleanly, with and without devices that are taken away meanwhile, and its self checks and
# attributes can be read.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
module=/usr/lib/modules/$(uname -r)/updates/pnic.ko

for ((i = 0; i < 10; i++)); do
  rmmod pnic
  [[ ! -e /sys/class/infiniband/pnic0 ]] || fail "a device is left after rmmod"
  [[ ! -e /sys/kernel/debug/pnic ]] || fail "debugfs is left after rmmod"
  insmod "$module"
done
for nic in $LAB_NIC0 $LAB_NIC1; do
  name=$(ib_name "$nic")
  dir=/sys/class/infiniband/$name
  [[ $(cat "$dir/ports/1/state") == "4: ACTIVE" ]] || fail "$name: port is $(cat "$dir/ports/1/state")"
  (($(cat "$dir/ports/1/lid") > 0)) || fail "$name has no LID"
  [[ $(cat "$dir/ports/1/link_layer") == InfiniBand ]] || fail "$name: link layer"
  ibv_devinfo -v -d "$name" >devinfo || fail "ibv_devinfo: status $?"
  grep -q 'PORT_ACTIVE' devinfo || fail "ibv_devinfo shows no active port"
  (($(cat "/sys/kernel/debug/pnic/$nic/copy_mb_s") > 100)) || fail "copy_mb_s is too low to be true"
done
check_self

# Gone for good, as by hot unplug, and found again.
echo 1 >"/sys/bus/pci/devices/$LAB_NIC1/remove"
[[ -z $(ib_name "$LAB_NIC1") ]] || fail "a removed function has a device"
echo 1 >/sys/bus/pci/rescan
wait_for_device "$LAB_NIC1"
check_self
