#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 150
# peermr vend lends slices, peermr borrow has them: leases, waiting, borrowers that die, stop, are hostile or leave an
# importer that does not let go; resets; the vendor's death; what mainline's exporter lacks.
# shellcheck source-path=SCRIPTDIR source=tools/lib.sh
. /src/tests/guest/tools/lib.sh
# shellcheck source-path=SCRIPTDIR source=tools/vend.sh
. /src/tests/guest/tools/vend.sh

bind "$LAB_NVME" vfio-pci || fail "vfio-pci"
remedy="taken back for good.*bind $LAB_NVME to peermr_vfio: .*modprobe peermr_vfio.*driver_override"
expect 3 "$remedy" vend "$LAB_NVME" --bar "$LAB_PMR_BAR" --slice 64K --socket ./socket
[[ ! -e socket ]] || fail "a socket is left after a refusal"

bind "$LAB_NVME" peermr_vfio || fail "peermr_vfio"
name="$LAB_NVME BAR $LAB_PMR_BAR"
start_vend --range 1M:192K --slice 64K --lease 2s
grep -q "^$name: 3 slices of 64 KiB, exporter peermr_vfio, lease 2 s, socket ./socket$" vend.out || fail "its first line"
[[ $(stat -c '%a %F' socket) == "600 socket" ]] || fail "the socket is $(stat -c '%a %F' socket)"

# For a command, whose status it takes; renewed as long as the command runs.
expect 0 "$name slice 0: 64 KiB, loan 1, generation .*, lease 2 s" borrow --socket ./socket --for 10ms
# shellcheck disable=SC2016 # for the inner shell
expect 7 "65536 $name slice" borrow --socket ./socket -- bash -c '
  [[ $(readlink "/proc/self/fd/$PEERMR_LOAN_FD") == /dmabuf:* ]] || exit 1
  echo "$PEERMR_LOAN_BYTES $PEERMR_LOAN_NAME"; sleep 4; exit 7'
! grep -q overdue vend.out || fail "a loan that is renewed ran out"
expect 143 'loan' borrow --socket ./socket -- bash -c 'kill $$'
expect 1 'no-such-command' borrow --socket ./socket -- no-such-command
expect 1 'slices have 65536 bytes' borrow --socket ./socket --bytes 1M

# A lease that is not renewed, and a borrower that is stopped.
expect 1 'the loan ended: overdue' borrow --socket ./socket --lease 300ms --no-renew
start_borrow
kill -STOP "$borrower"
eventually grep -q "overdue: loan .* of pid $borrower," vend.out || fail "a stopped borrower keeps its slice"
kill -CONT "$borrower"
end_borrow
[[ $? == 1 ]] || fail "a borrower that was stopped does not say that it lost its slice"
grep -q 'the loan ended: overdue' borrow.out || fail "borrow says $(<borrow.out)"

# All of them lent: busy, or wait. Killed borrowers make room.
for i in 0 1 2; do
  peermr borrow --socket ./socket >"held.$i" 2>&1 &
  held[i]=$!
  eventually grep -q loan "held.$i" || fail "borrow $i: $(<"held.$i")"
done
expect 1 'none of 3 slices is free; unless it is renewed, the next lease runs out in' borrow --socket ./socket
expect 1 'no slice became free' borrow --socket ./socket --wait 300ms
kill -USR1 "$vendor"
eventually grep -q '^0 of 3 slices free' vend.out || fail "SIGUSR1 shows no table"
grep -Eq "^ +[0-2]  lent +[0-9]+ +${held[1]} +0 +[0-9.]+ m?s$" vend.out || fail "the table does not show a borrower"
peermr borrow --socket ./socket --wait 20s --for 10ms >waited.out 2>&1 &
waiter=$!
sleep 0.3
kill -9 "${held[1]}"
wait "${held[1]}" 2>/dev/null
wait "$waiter" || fail "a slice of a killed borrower is not lent again: $(<waited.out)"
grep -q "borrower gone: loan .* of pid ${held[1]}," vend.out || fail "the vendor does not show the death"

# A reset: loans stay, borrowers hear of it.
reset_device "$LAB_NVME"
eventually grep -q 'generation .*: the memory was revoked' held.0 || fail "a borrower does not hear of a reset"
kill "${held[0]}" "${held[2]}"
wait "${held[0]}" && wait "${held[2]}" || fail "borrowers that are asked to end fail"

# Peers with bad manners, meanwhile, and descriptors that nobody asked for.
python3 /src/tests/guest/tools/hostile.py ./socket 2 >hostile.out 2>&1 &
hostile=$!
for ((i = 0; i < 10; i++)); do
  expect 0 loan borrow --socket ./socket --wait 10s --for 10ms
done
wait "$hostile" || fail "hostile.py: $(<hostile.out)"
eventually all_free || fail "slices are left after a hostile peer"
[[ $(find "/proc/$vendor/fd" -lname '/dmabuf:*' | wc -l) == 0 ]] || fail "the vendor has buffers left"

# An importer that does not let go keeps one slice, and nothing else.
modprobe peermr_test_importer || fail "peermr_test_importer"
peermr borrow --socket ./socket --lease 1s -- python3 /src/tests/guest/tools/hold_loan.py "$LAB_NIC0" >out 2>&1 &
borrower=$!
eventually grep -q 'holding as' out || fail "the importer does not map: $(<out)"
holder=$(sed -n 's/^holding as //p' out)
kill -9 "$borrower"
wait "$borrower" 2>/dev/null
eventually grep -q 'waits for an importer' vend.out || fail "the vendor does not show that it waits"
for ((i = 0; i < 5; i++)); do
  expect 0 loan borrow --socket ./socket --wait 10s --for 10ms
done
! all_free || fail "a slice that an importer holds counts as free"
kill -9 "$holder"
eventually all_free || fail "the slice does not come back when its importer goes"
rmmod peermr_test_importer || fail "peermr_test_importer is in use"

# Ends cleanly, and says what borrowers should know; then without a goodbye.
start_borrow --json
end_vend || fail "vend: status $?"
end_borrow
[[ $? == 1 ]] || fail "borrow does not fail when its vendor stops"
grep -q '"event":"ended","why":"vendor stops"' borrow.out || fail "borrow says $(<borrow.out)"
[[ ! -e socket ]] || fail "the socket is left"
expect 1 'is peermr vend running' borrow --socket ./socket
start_vend --slice 64K --range 1M:64K --json --max-per-user 1 --socket-mode 0666
[[ $(stat -c '%a %F' socket) == "666 socket" ]] || fail "the socket is $(stat -c '%a %F' socket)"
grep -q '"event":"vending".*"slices":1' vend.out || fail "the vendor's JSON"
start_borrow
expect 1 'a user may have 1 at a time' borrow --socket ./socket
kill -9 "$vendor"
wait "$vendor" 2>/dev/null
vendor=
end_borrow
[[ $? == 1 ]] || fail "borrow does not fail when its vendor dies"
grep -q 'the loan ended: vendor gone' borrow.out || fail "borrow says $(<borrow.out)"
grep -q '"event":"lent".*"lease_ms":' vend.out || fail "the vendor's JSON"
eventually no_buffers || fail "buffers are left: $(grep '^buffer' /sys/kernel/debug/peermr_export/*)"
start_vend --slice 64K --range 1M:64K
end_vend || fail "vend after a vendor that was killed: status $?"
bind "$LAB_NVME" vfio-pci || fail "back to vfio-pci"
