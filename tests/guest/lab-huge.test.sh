# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A BAR of 16 GiB is there when a test asks for it, and costs only what is used.
# topology: switch root-ports
# timeout: 180
# memory: 16G
set -uo pipefail

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
resource=$(sed -n "$((LAB_MEM_BAR + 1))p" "/sys/bus/pci/devices/$LAB_MEM0/resource")
read -r first last _ <<<"$resource"
((last - first + 1 == 16 << 30)) || fail "BAR $LAB_MEM_BAR: $resource"
echo none >"/sys/bus/pci/devices/$LAB_MEM0/driver_override"
echo "$LAB_MEM0" >"/sys/bus/pci/devices/$LAB_MEM0/driver/unbind"
setpci -s "$LAB_MEM0" COMMAND=2:2
for at in $((first)) $((last - 3)); do
  busybox devmem "$at" 32 0xabcd1234
  [[ $(busybox devmem "$at" 32) == 0xABCD1234 ]] || fail "no memory at $at"
done
echo vfio-pci >"/sys/bus/pci/devices/$LAB_MEM0/driver_override"
echo "$LAB_MEM0" >/sys/bus/pci/drivers_probe
peermr bench --duration 0.02 --latency-samples 5 --size 4K --target "$LAB_MEM0:$LAB_MEM_BAR:15G+1M" >out 2>&1 ||
  fail "RDMA to its end: $(cat out)"
