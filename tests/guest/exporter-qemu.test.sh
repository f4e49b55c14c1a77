#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: root-ports
# timeout: 240
# Stock user space on the exporter's driver: QEMU's own vfio-pci, in the guest, gives the device to a machine of its own,
# whose firmware assigns its BARs. What was written to the memory outside is read inside, also after a reset.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=lib/devices.sh
. /src/tests/guest/lib/devices.sh

command -v qemu-system-x86_64 >/dev/null || { echo "no QEMU in the guest"; exit 77; }
trap 'bind "$LAB_IVSHMEM" vfio-pci' EXIT

# While no driver has it, /dev/mem can write to it.
unbind "$LAB_IVSHMEM" || fail "status $?"
base=$(awk -v bar="$LAB_IVSHMEM_BAR" 'NR == bar + 1 { print $1 }' "/sys/bus/pci/devices/$LAB_IVSHMEM/resource")
setpci -s "$LAB_IVSHMEM" COMMAND=2:2
busybox devmem "$base" 32 0x5eed0001
setpci -s "$LAB_IVSHMEM" COMMAND=0:2
bind "$LAB_IVSHMEM" peermr_vfio || fail "status $?"

mkfifo commands
qemu-system-x86_64 -nodefaults -display none -machine q35 -accel tcg -m 64M -monitor stdio \
  -device pcie-root-port,id=inside -device "vfio-pci,host=$LAB_IVSHMEM,bus=inside" <commands >answers 2>&1 &
qemu=$!
exec 5>commands

# ask COMMAND: to the monitor; its answer, once it is complete.
ask() {
  local lines
  lines=$(wc -l <answers)
  echo "$1" >&5
  sleep 1
  tail -n "+$((lines + 1))" answers | tr -d '\r'
}

# The firmware takes its time under emulation in emulation.
address=
for ((i = 0; i < 60; i++)); do
  address=$(ask 'info pci' | sed -n 's/.*BAR2: 64 bit prefetchable memory at 0x0*\([0-9a-f]\+\) .*/\1/p')
  [[ -z $address || $address == ffffffff* || $address == 0 ]] || break
  kill -0 "$qemu" 2>/dev/null || { cat answers; fail "QEMU ended"; }
done
[[ -n $address ]] || { cat answers; fail "the firmware assigned no address to BAR 2"; }

word() { ask "xp /1xw 0x$address" | sed -n 's/^[0-9a-f]*: 0x\([0-9a-f]*\).*/\1/p' | tail -n 1; }
[[ $(word) == 5eed0001 ]] || { cat answers; fail "inside, the memory is not what was written outside"; }
ask 'system_reset' >/dev/null
for ((i = 0; i < 60; i++)); do
  again=$(word)
  [[ $again != 5eed0001 ]] || break
done
[[ $again == 5eed0001 ]] || { cat answers; fail "after a reset inside, the memory is $again"; }
ask 'quit' >/dev/null
wait "$qemu" || fail "QEMU ended with status $?"
grep -i 'vfio.*\(error\|failed\)' answers && fail "QEMU complains"
check_self
