#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 200
# Owners of devices with regions under traffic, killed at random moments, while another process goes on beside them. More
# often by hand: /src/tests/guest/soak-killed.test.sh TIMES
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_NIC1 LAB_MEM0 LAB_MEM1 LAB_MEM_BAR LAB_IVSHMEM LAB_IVSHMEM_BAR
times=${1:-12}

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

modprobe dmabuf_watch
use_exporter "$LAB_MEM0" "$LAB_MEM1" "$LAB_IVSHMEM"
coproc bystander { SOAK_DEVICES=LAB_IVSHMEM exec "$programs/soak" --threads 2 --seconds $((times * 4 * LAB_TIME_SCALE)); }
bystander_pid=$!
exec 5<&"${bystander[0]}"
trap 'kill "$bystander_pid" 2>/dev/null || true; wait "$bystander_pid" || true; give_back' EXIT

for ((kill = 1; kill <= times; kill++)); do
  SOAK_DEVICES="LAB_MEM0 LAB_MEM1" "$programs/soak" --threads 4 --seconds 600 >victim.log 2>&1 &
  victim=$!
  sleep "$((LAB_TIME_SCALE * (RANDOM % 3))).$((RANDOM % 1000))"
  kill -KILL "$victim" 2>/dev/null || { cat victim.log; fail "before kill $kill: it ended by itself"; }
  wait "$victim" 2>/dev/null || true
  nothing_left_of_victim "$kill"
done
SOAK_DEVICES="LAB_MEM0 LAB_MEM1" "$programs/soak" --threads 4 --seconds $((8 * LAB_TIME_SCALE)) || fail "after the kills: status $?"

status=0
wait "$bystander_pid" || status=$?
cat <&5
((status == 0)) || fail "the bystander: status $status"
trap give_back EXIT
check_no_buffers
for nic in "$LAB_NIC0" "$LAB_NIC1"; do
  check_no_objects "$nic"
done
check_self
