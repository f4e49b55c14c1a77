# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The memory devices, from the kernel's side: resets of every kind, power states, groups, RDMA into their memory.
# topology: switch root-ports
# timeout: 300
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib/devices.sh
. /src/tests/guest/lib/devices.sh

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
expect() { # expect WHAT GOT WANTED
  [[ $2 == "$3" ]] || fail "$1: '$2', expected '$3'"
}
resource() { awk -v line=$(($2 + 1)) 'NR == line { print $1 }' "/sys/bus/pci/devices/$1/resource"; }
peek() { busybox devmem $(($(resource "$1" "$2") + $3)) 32; }
poke() { busybox devmem $(($(resource "$1" "$2") + $3)) 32 "$4"; }
decode() { setpci -s "$1" COMMAND=2:2; }

device0=/sys/bus/pci/devices/$LAB_MEM0
device1=/sys/bus/pci/devices/$LAB_MEM1
expect "one slot" "${LAB_MEM1%.*}" "${LAB_MEM0%.*}"
expect "group" "$(readlink -f "$device1/iommu_group")" "$(readlink -f "$device0/iommu_group")"
expect "driver of function 0" "$(driver_of "$LAB_MEM0")" vfio-pci
expect "driver of function 1" "$(driver_of "$LAB_MEM1")" vfio-pci

# VFIO's hot reset through one reaches both.
listed=$(python3 /src/tests/guest/lib/hot_reset.py "$LAB_MEM0") || fail "hot reset info"
[[ $listed == *"$LAB_MEM0"*"$LAB_MEM1"* ]] || fail "a hot reset of function 0 would reach only: $listed"

unbind "$LAB_MEM0" && unbind "$LAB_MEM1" || fail "unbind"
decode "$LAB_MEM0"
decode "$LAB_MEM1"
expect "magic" "$(peek "$LAB_MEM0" 0 0)" 0x6D656D70
for bar in "$LAB_MEM_BAR" "$LAB_MEM_BAR2"; do
  poke "$LAB_MEM0" "$bar" 0x1000 0x1234
  poke "$LAB_MEM1" "$bar" 0x1000 0x5678
done

# Function-level reset by the AF capability, the only one that these devices have.
expect "reset methods" "$(cut -d' ' -f1 "$device0/reset_method")" af_flr
resets=$(peek "$LAB_MEM0" 0 0x18)
for device in "$device0" "$device1"; do
  echo af_flr >"$device/reset_method"
  echo 1 >"$device/reset" || fail "AF reset"
done
expect "resets by AF" $(($(peek "$LAB_MEM0" 0 0x18))) $((resets + 1))
for bar in "$LAB_MEM_BAR" "$LAB_MEM_BAR2"; do
  expect "memory that a reset keeps" "$(peek "$LAB_MEM0" "$bar" 0x1000)" 0x00001234
  expect "memory that a reset clears" "$(peek "$LAB_MEM1" "$bar" 0x1000)" 0x00000000
done

# D3hot: no memory there; and the way back resets.
poke "$LAB_MEM1" "$LAB_MEM_BAR" 0x1000 0x5678
powered=$(peek "$LAB_MEM1" 0 0x1c)
setpci -s "$LAB_MEM1" 44.w=3
expect "power state" "$(setpci -s "$LAB_MEM1" 44.w)" 0003
[[ $(peek "$LAB_MEM1" "$LAB_MEM_BAR" 0x1000) != 0x00005678 ]] || fail "memory answers in D3hot"
setpci -s "$LAB_MEM1" 44.w=0
decode "$LAB_MEM1"
expect "magic after D3hot" "$(peek "$LAB_MEM1" 0 0)" 0x6D656D70
expect "resets by power-up" $(($(peek "$LAB_MEM1" 0 0x1c))) $((powered + 1))
expect "memory after D3hot" "$(peek "$LAB_MEM1" "$LAB_MEM_BAR" 0x1000)" 0x00000000

bind "$LAB_MEM0" vfio-pci && bind "$LAB_MEM1" vfio-pci || fail "bind"
peermr bench --duration 0.02 --latency-samples 5 --size 4K --target "$LAB_MEM0:$LAB_MEM_BAR:0+1M" >out 2>&1 ||
  fail "RDMA into BAR $LAB_MEM_BAR: $(cat out)"
