#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# examples/stream_to_bar.cpp: records that stream into a BAR while its owner resets the device, and others do. The device
# keeps its memory across a reset, so in the end the last records must be in it.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=lib/devices.sh
. /src/tests/guest/lib/devices.sh

records=20000
own_resets=10
device=/sys/bus/pci/devices/$LAB_IVSHMEM
parameter=/sys/module/pnic/parameters/dmabuf_import
trap 'echo faultable >"$parameter"; bind "$LAB_IVSHMEM" vfio-pci' EXIT

# ring clear | ring check PLACED: the 512 words at the BAR's beginning, while nobody has the device open. Word n % 512 must
# hold n + 1 for each of the last 512 records.
ring() {
  setpci -s "$LAB_IVSHMEM" COMMAND=2:2
  python3 - "$device/resource$LAB_IVSHMEM_BAR" "$@" <<'END'
import mmap, struct, sys
path, what = sys.argv[1:3]
words, count = struct.Struct("<512Q"), 512
with open(path, "r+b") as file, mmap.mmap(file.fileno(), words.size) as memory:
    if what == "clear":
        memory[:] = bytes(words.size)
        sys.exit()
    placed, found = int(sys.argv[3]), words.unpack(memory[:])
for n in range(placed - count, placed):
    if found[n % count] != n + 1:
        sys.exit(f"word {n % count} is {found[n % count]}, and should be {n + 1}")
END
}

# check_output: what the program said, in "$log": generations and records never go back, and the sum is what it should be.
check_output() {
  awk -v records="$records" -v resets="$1" '
    /^region is / {
      if ($3 !~ /^(live|paused),$/ || $5 + 0 < generation || $6 < placed) { print "out of order: " $0; bad = 1 }
      generation = $5 + 0; placed = $6
      if ($3 == "live," && placed > 0) told++
      next
    }
    / records placed in / { sum = $1; generations = $5; next }
    { print "unexpected: " $0; bad = 1 }
    END {
      if (sum < records || sum < placed) { print "placed " sum " in all"; bad = 1 }
      if (generations <= resets || generations < generation + 1) { print generations " generations"; bad = 1 }
      if (!told) { print "no reset met the stream"; bad = 1 }
      exit bad
    }' "$log"
}

# stream DRIVER IMPORT OTHERS: OTHERS resets are made by others, in the midst of the traffic.
stream() {
  local others=$3 example status=0
  log=$1.$2
  bind "$LAB_IVSHMEM" "$1" || fail "no $1"
  echo "$2" >"$parameter"
  ring clear
  stdbuf -oL "$programs/peermr-example-stream-to-bar" "$LAB_IVSHMEM" "$LAB_IVSHMEM_BAR" "$(ib_name "$LAB_NIC0")" \
    "$(ib_name "$LAB_NIC1")" >"$log" 2>&1 &
  example=$!
  while ((others > 0)) && kill -0 "$example" 2>/dev/null; do
    sleep 0.1
    [[ -s $log ]] || continue # it begins with memory that is there
    echo 1 >"$device/reset" || fail "reset"
    others=$((others - 1))
  done
  wait "$example" || status=$?
  ((status == 0)) || { cat "$log"; fail "$1, $2: status $status"; }
  check_output "$own_resets" || { cat "$log"; fail "$1, $2"; }
  ring check "$(sed -n 's/ records placed in .*//p' "$log")" || fail "$1, $2: the device's memory"
  echo "$1, $2: $(tail -n 1 "$log")"
}

stream vfio-pci faultable 0
stream vfio-pci revocable 0
stream peermr_vfio faultable 10
check_no_objects "$LAB_NIC0"
check_no_objects "$LAB_NIC1"
check_self
