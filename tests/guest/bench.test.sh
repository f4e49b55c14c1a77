# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# peermr bench moves data into and out of both BAR devices over the topology's path, verified, as predicted and as the
# kernel says; it puts the BAR's content back, leaves no probe behind, and finds wrong data.
# topology: switch root-ports
# timeout: 90
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

# Somebody else writes a byte after the first message all the while: the row is wrong, and says where.
cat >poke.py <<'END'
import mmap, sys, time
with open(sys.argv[1], "r+b") as file:
    bar = mmap.mmap(file.fileno(), 4096)
    value = 0
    open("poking", "w").close()
    while True:
        value = value + 1 & 255
        bar[1010] = value
        time.sleep(0.001)
END
python3 poke.py "/sys/bus/pci/devices/$LAB_IVSHMEM/resource$LAB_IVSHMEM_BAR" &
poker=$!
for ((tries = 0; tries < 300; tries++)); do
  [[ ! -e poking ]] || break
  sleep 0.1
done
peermr bench --duration 0.3 --size 1000 --op write --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+8M" --json wrong.json >out 2>&1
status=$?
kill "$poker" || fail "nobody wrote to the BAR"
[[ $status == 1 ]] || fail "wrong data: the status is $status"
grep -q 'MISMATCH at offset 0x3f2' out || fail "wrong data: the table does not say where"
grep -q '"verified": false' wrong.json || fail "wrong data: the JSON says that it was verified"
exit 0
