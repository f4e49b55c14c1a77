# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# peermr bench moves data into and out of both BAR devices over the topology's path, verified, as predicted and as the
# kernel says; it puts the BAR's content back and leaves no probe behind.
# topology: switch root-ports
# timeout: 120
set -uo pipefail

fail() {
  echo "FAILED: $*"
  [[ ! -e out ]] || cat out
  exit 1
}
count() { grep -c "$1" report.json; }

# Content that the run must put back: a word at the start of each MiB. Memory decode is off while nobody has the device
# open.
bar=$(awk -v line=$((LAB_IVSHMEM_BAR + 1)) 'NR == line { print $1 }' "/sys/bus/pci/devices/$LAB_IVSHMEM/resource")
poke_bar() {
  setpci -s "$LAB_IVSHMEM" COMMAND=2:2
  for ((i = 0; i < 8; i++)); do
    busybox devmem $((bar + (i << 20))) 32 $((0x5eed0000 + i))
  done
}
bar_is_untouched() {
  setpci -s "$LAB_IVSHMEM" COMMAND=2:2
  for ((i = 0; i < 8; i++)); do
    (($(busybox devmem $((bar + (i << 20))) 32) == 0x5eed0000 + i)) || return 1
  done
}
poke_bar
bar_is_untouched || fail "cannot write to the BAR from here"

peermr bench --kernel-verdict --json report.json --duration 0.05 --latency-samples 50 --size 8,4K,64K,1M \
  --target host --target "$LAB_NVME:$LAB_PMR_BAR:0+8M" --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+8M" >out 2>&1 ||
  fail "status $?"

case $LAB_TOPOLOGY in
  switch) path="bus address" ;;
  *) path="host bridge" ;;
esac
[[ $(count '"verified": true') == 24 && $(count '"verified":') == 24 ]] || fail "not 24 of 24 rows are verified"
[[ $(count "\"path_predicted\": \"$path\"") == 16 ]] || fail "16 rows should be predicted as '$path'"
[[ $(count "\"path_kernel\": \"$path\"") == 16 ]] || fail "for 16 rows the kernel should say '$path'"
[[ $(count '"bandwidth_bytes_per_second": 0.0') == 0 ]] || fail "a row without bandwidth"
grep -q 'EMULATED NIC: pnic0, pnic1' out || fail "the NIC is not labelled as emulated"
(($(awk 'length > 120' out | wc -l) == 0)) || fail "lines are longer than 120 columns"

bar_is_untouched || fail "the BAR's content was not put back"
! grep -q peermr /sys/kernel/tracing/kprobe_events || fail "a probe was left behind"
[[ -z $(ls -A /sys/kernel/tracing/instances) ]] || fail "a tracing instance was left behind"

peermr bench --no-restore --duration 0.02 --latency-samples 20 --size 4K --op write \
  --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+8M" >out 2>&1 || fail "--no-restore: status $?"
! bar_is_untouched || fail "--no-restore did put the content back, or nothing was written"
exit 0
