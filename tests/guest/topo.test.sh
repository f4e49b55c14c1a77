# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# peermr topo shows the topology's path between each NIC and each BAR device, and doctor agrees with it.
# topology: switch root-ports no-iommu
# timeout: 30
set -uo pipefail

fail() {
  echo "FAILED: $*"
  cat out
  exit 1
}

case $LAB_TOPOLOGY in
  switch) path="bus address" possible=0 ;;
  root-ports) path="host bridge" possible=0 ;;
  no-iommu) path="host bridge" possible=1 ;;
esac

peermr topo >out || fail "status $?"
for device in "$LAB_NIC0" "$LAB_NIC1" "$LAB_NVME" "$LAB_IVSHMEM"; do
  grep -q "─ $device" out || fail "the tree lacks $device"
done
for bar in "$LAB_NVME BAR $LAB_PMR_BAR" "$LAB_IVSHMEM BAR $LAB_IVSHMEM_BAR"; do
  grep -Eq "^$bar +64 MiB .* $path \[[0-9]\] +$path \[[0-9]\]$" out || fail "$bar: not '$path' from both NICs"
done

peermr topo --json >out || fail "--json: status $?"
python3 -c 'import json; json.load(open("out"))' || fail "--json: it is not JSON"
# Two NICs, and six BARs: one each of NVMe and ivshmem, two each of the memory devices.
[[ $(grep -c "\"path\": \"$path\"" out) == 12 ]] || fail "the JSON does not have 12 pairs with '$path'"

peermr topo --sysfs /nonexistent >out 2>&1 && fail "a tree that isn't there was shown"

peermr doctor >out
[[ $? == "$possible" ]] || fail "doctor: the status should be $possible"
if ((possible == 0)); then
  ! grep -q FAIL out || fail "doctor: something failed"
  grep -q 'OK   pnic1: driver pnic, dma-buf importer: faultable' out || fail "doctor: the importer's class is missing"
  peermr doctor --probe "$LAB_IVSHMEM" >out || fail "doctor --probe: status $?"
  grep -q 'export its memory as dma-bufs' out || fail "doctor --probe: no answer"
else
  grep -q 'FAIL IOMMU' out || fail "doctor: it does not say that the IOMMU is off"
fi
peermr doctor --json >out
[[ $? == "$possible" ]] || fail "doctor --json: the status should be $possible"
grep -q '"schema": "peermr-doctor/1"' out || fail "doctor --json: no schema"
exit 0
