# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Where the host bridge is not known to forward peer to peer, everything says so, and host memory still works.
# topology: refused
# timeout: 60
set -uo pipefail

fail() {
  echo "FAILED: $*"
  cat out
  exit 1
}

for target in "$LAB_NVME:$LAB_PMR_BAR:0+1M" "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+1M"; do
  peermr bench --kernel-verdict --target host --target "$target" >out 2>&1
  [[ $? == 3 ]] || fail "$target: the status should be 3"
  (($(wc -l <out) == 1)) || fail "$target: the error is not one line"
  grep -q "${target%%:[0-9]:*}" out || fail "$target: the error does not name the device"
  grep -qi "host bridge" out || fail "$target: the error does not say why"
  grep -q "kernel's verdict: not supported" out || fail "$target: the kernel's verdict is not shown"
done
peermr bench --duration 0.05 --size 64K >out 2>&1 || fail "host memory: status $?"

peermr topo --json >out || fail "topo: status $?"
[[ $(grep -c '"path": "not supported"' out) == 12 ]] || fail "topo does not show 12 pairs as not supported"
peermr doctor >out
[[ $? == 1 ]] || fail "doctor: the status should be 1"
grep -q 'FAIL pnic0 -> ' out || fail "doctor does not show which pair fails"
exit 0
