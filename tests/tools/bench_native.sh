#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bench_native.sh PEERMR-NATIVE PEERMR: measures host memory with the emulated NIC, without root or guest, in one process
# and between two, and checks what is printed and written.
set -uo pipefail
native=$1
peermr=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*"
  cat "$work"/*.out 2>/dev/null
  exit 1
}

# rows FILE: how many rows of the JSON document are verified, and how many there are.
rows() { printf '%s of %s' "$(grep -c '"verified": true' "$1")" "$(grep -c '"verified":' "$1")"; }

"$native" "$peermr" bench --op write,read,send --size 8,4K,1M --duration 0.05 --latency-samples 50 \
  --json "$work/one.json" >"$work/one.out" 2>&1 || fail "one process: status $?"
[[ $(rows "$work/one.json") == "9 of 9" ]] || fail "one process: $(rows "$work/one.json") rows are verified"
grep -q '^send .* verified$' "$work/one.out" || fail "no row of send in the table"
grep -q 'EMULATED NIC: pnic0, pnic1' "$work/one.out" || fail "the NIC is not labelled as emulated"

"$native" "$peermr" bench --loopback --size 1,63,65,1000 --duration 0.02 --iterations 7 --depth 3 \
  --json "$work/odd.json" >"$work/odd.out" 2>&1 || fail "odd sizes: status $?"
[[ $(rows "$work/odd.json") == "8 of 8" ]] || fail "odd sizes: $(rows "$work/odd.json") rows are verified"
[[ $(grep -c '"messages": 7,' "$work/odd.json") == 8 ]] || fail "--iterations was not followed"

"$peermr" bench report "$work/one.json" "$work/odd.json" --json "$work/all.json" >"$work/report.out" 2>&1 ||
  fail "report: status $?"
[[ $(rows "$work/all.json") == "17 of 17" ]] || fail "report: $(rows "$work/all.json") rows are verified"

# Between two processes: each opens one of the NICs of the same device.
cat >"$work/pair.sh" <<'END'
"$1" bench --listen "unix:$2/socket" --target-device pnic1 >"$2/listen.out" 2>&1 &
listener=$!
for ((i = 0; i < 100; i++)); do
  [[ ! -S $2/socket ]] || break
  sleep 0.1
done
"$1" bench --connect "unix:$2/socket" --device pnic0 --size 4K,64K --duration 0.05 --json "$2/two.json" \
  >"$2/two.out" 2>&1 || exit 1
wait "$listener"
END
"$native" bash "$work/pair.sh" "$peermr" "$work" || fail "two processes: status $?"
[[ $(rows "$work/two.json") == "4 of 4" ]] || fail "two processes: $(rows "$work/two.json") rows are verified"

# A row of a document that was not verified makes a report fail.
sed 's/"verified": true/"verified": false/' "$work/one.json" >"$work/bad.json"
"$peermr" bench report "$work/bad.json" >"$work/bad.out" 2>&1 && fail "a report of unverified rows succeeded"
grep -q 'NOT VERIFIED' "$work/bad.out" || fail "unverified rows are not shown"
exit 0
