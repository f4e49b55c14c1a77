#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 200
# Whoever takes part, killed at random moments under traffic, while another process goes on beside it: owners of devices with
# all their regions; either end of connections, and then the other end learns of it; vendors, and then their borrowers do.
# More often by hand: /src/tests/guest/soak-killed.test.sh TIMES, of which three fifths are ends of connections.
# IMPORT=faultable|revocable chooses the importer.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_NIC1 LAB_MEM0 LAB_MEM1 LAB_MEM_BAR LAB_IVSHMEM LAB_IVSHMEM_BAR
times=${1:-10}
# One of the two for each topology.
if [[ $LAB_TOPOLOGY == switch ]]; then import=${IMPORT:-faultable}; else import=${IMPORT:-revocable}; fi

# buffers_left BDF: buffers of the device that somebody still holds
buffers_left() { grep -c '^buffer' "/sys/kernel/debug/peermr_export/$1" || true; }

# nothing_left_of_victim: what a dead process's work queues free is gone a little later.
nothing_left_of_victim() {
  local tries
  for ((tries = 0; tries < 100 * LAB_TIME_SCALE; tries++)); do
    (($(buffers_left "$LAB_MEM0") + $(buffers_left "$LAB_MEM1") > 0)) || return 0
    sleep 0.1
  done
  fail "after kill $1: buffers are left"
}

random_while() { sleep "$((LAB_TIME_SCALE * (RANDOM % 2))).$((RANDOM % 1000))"; }

# kill_victim NAME LOG
kill_victim() {
  kill -KILL "$victim" 2>/dev/null || { cat "$2"; fail "before $1: it ended by itself"; }
  wait "$victim" 2>/dev/null || true
}

kill_owner() {
  SOAK_DEVICES="LAB_MEM0 LAB_MEM1" "$programs/soak" --threads 4 --connections 2 --seconds 600 >victim.log 2>&1 &
  victim=$!
  random_while
  kill_victim "$1" victim.log
  nothing_left_of_victim "$1"
}

# Its borrowers end with status 0 when all that fails does so because of its death.
kill_vendor() {
  local i borrowers=()
  : >vend.out
  peermr vend "$LAB_MEM0" --bar "$LAB_MEM_BAR" --slice 64K --range 1M:192K --lease 1s --socket ./vend.sock >>vend.out 2>&1 &
  victim=$!
  for ((i = 0; i < 100 * LAB_TIME_SCALE; i++)); do
    ! grep -q socket vend.out || break
    sleep 0.1
  done
  for i in 0 1; do
    timeout $((40 * LAB_TIME_SCALE)) "$programs/vend_stress" client ./vend.sock "$RANDOM" </dev/null >"borrower.$i" 2>&1 &
    borrowers+=($!)
  done
  for ((i = 0; i < 100 * LAB_TIME_SCALE; i++)); do
    ! grep -q "lent" vend.out || break
    sleep 0.1
  done
  random_while
  kill_victim "$1" vend.out
  for i in 0 1; do
    wait "${borrowers[i]}" || fail "after $1: borrower $i: status $?: $(<"borrower.$i")"
  done
  nothing_left_of_victim "$1"
}

modprobe dmabuf_watch
use_exporter "$LAB_MEM0" "$LAB_MEM1" "$LAB_IVSHMEM"
parameter=/sys/module/pnic/parameters/dmabuf_import
echo "$import" >"$parameter"
coproc bystander { SOAK_DEVICES=LAB_IVSHMEM exec "$programs/soak" --threads 1 --connections 1 --seconds 100000; }
bystander_pid=$!
exec 5<&"${bystander[0]}"
trap 'kill -KILL "$bystander_pid" 2>/dev/null || true; wait "$bystander_pid" || true; echo faultable >"$parameter"; give_back' EXIT

rounds=$(((times + 4) / 5))
for ((round = 1; round <= rounds; round++)); do
  kill_owner "owner $round"
  kill_vendor "vendor $round"
done
echo "$rounds owners and as many vendors killed, importer $import"
SOAK_DEVICES="LAB_MEM0 LAB_MEM1" "$programs/soak_pair" --kills $((3 * rounds)) || fail "ends of connections: status $?"
SOAK_DEVICES="LAB_MEM0 LAB_MEM1" "$programs/soak" --threads 4 --connections 2 --seconds $((5 * LAB_TIME_SCALE)) || fail "after the kills: status $?"

status=0
kill -TERM "$bystander_pid"
wait "$bystander_pid" || status=$?
cat <&5
((status == 0)) || fail "the bystander: status $status"
trap 'echo faultable >"$parameter"; give_back' EXIT
check_no_buffers
for nic in "$LAB_NIC0" "$LAB_NIC1"; do
  check_no_objects "$nic"
done
check_self
