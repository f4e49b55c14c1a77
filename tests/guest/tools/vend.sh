# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the test of peermr vend and borrow has besides tools/lib.sh. Sourced after it.

vendor=
borrower=
declare -a held=()
trap 'end_vend; [[ -z $borrower ]] || kill -9 "$borrower"' EXIT

# start_vend ARGS...: peermr vend of the NVMe's PMR, until its socket is there.
start_vend() {
  peermr vend "$LAB_NVME" --bar "$LAB_PMR_BAR" "$@" --socket ./socket >vend.out 2>&1 &
  vendor=$!
  eventually grep -q "socket" vend.out || fail "peermr vend $*: it does not start: $(<vend.out)"
}

# What it exits with when it is asked to end.
end_vend() {
  [[ -n $vendor ]] || return 0
  kill "$vendor" 2>/dev/null
  wait "$vendor"
  local status=$?
  vendor=
  return "$status"
}

# start_borrow ARGS...: peermr borrow, until it has a slice.
start_borrow() {
  peermr borrow --socket ./socket "$@" >borrow.out 2>&1 &
  borrower=$!
  eventually grep -q loan borrow.out || fail "peermr borrow $*: $(<borrow.out)"
}

# What it exits with by itself.
end_borrow() {
  wait "$borrower"
  local status=$?
  borrower=
  return "$status"
}

# all_free: the vendor has nothing lent, and nothing to take back.
all_free() {
  local before
  before=$(grep -c 'of 3 slices free' vend.out)
  kill -USR1 "$vendor"
  eventually more_tables "$before" || fail "SIGUSR1 shows no table"
  [[ $(grep 'of 3 slices free' vend.out | tail -n 1) == "3 of 3 slices free" ]]
}

more_tables() { (($(grep -c 'of 3 slices free' vend.out) > $1)); }

no_buffers() { ! grep -q '^buffer' /sys/kernel/debug/peermr_export/* 2>/dev/null; }
