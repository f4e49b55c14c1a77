# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# ^C in the middle of a benchmark: it ends at once and in order, with status 1, without a probe left behind, and the
# devices can be used again. A target that goes away ends in an error that names the queue pair.
# topology: switch
# timeout: 120
set -uo pipefail

fail() {
  echo "FAILED: $*"
  [[ ! -e out ]] || cat out
  exit 1
}

bar=$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+8M
for signal in INT TERM; do
  # Background jobs of a script ignore SIGINT unless told otherwise.
  python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' \
    peermr bench --kernel-verdict --duration 60 --size 64K --target "$bar" >out 2>&1 &
  bench=$!
  for ((tries = 0; tries < 100; tries++)); do
    ! grep -q peermr_ /sys/kernel/tracing/kprobe_events || break
    sleep 0.1
  done
  sleep 1
  kill "-$signal" "$bench" || fail "it ended by itself"
  for ((tries = 0; tries < 50; tries++)); do
    kill -0 "$bench" 2>/dev/null || break
    sleep 0.1
  done
  ! kill -9 "$bench" 2>/dev/null || fail "SIG$signal did not end it within 5 s"
  wait "$bench"
  [[ $? == 1 ]] || fail "SIG$signal: the status should be 1"
  grep -q interrupted out || fail "SIG$signal: it does not say that it was interrupted"
  ! grep -q peermr /sys/kernel/tracing/kprobe_events || fail "SIG$signal: a probe was left behind"
done
peermr bench --duration 0.05 --size 64K --target "$bar" >out 2>&1 || fail "the devices cannot be used again"

# A target whose process is gone takes its memory with it: writes fail, they do not hang.
peermr bench --listen unix:socket --target-device pnic1 >listen.out 2>&1 &
listener=$!
for ((tries = 0; tries < 100; tries++)); do
  ! grep -q '^listening on ' listen.out || break
  sleep 0.1
done
peermr bench --connect unix:socket --device pnic0 --duration 30 --timeout 1 --size 4K --op write >out 2>&1 &
bench=$!
sleep 2
kill -KILL "$listener"
wait "$listener" 2>/dev/null
for ((tries = 0; tries < 200; tries++)); do
  kill -0 "$bench" 2>/dev/null || break
  sleep 0.1
done
! kill -9 "$bench" 2>/dev/null || fail "it hangs after its target has gone"
wait "$bench"
[[ $? == 1 ]] || fail "without its target the status should be 1"
grep -q 'QP [0-9]* of pnic0 in state' out || fail "the error does not name the queue pair and its state"
exit 0
