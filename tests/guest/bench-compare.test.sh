# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# peermr bench runs over stock rxe too, and compares with it in the same run.
# topology: switch
# timeout: 180
set -uo pipefail

fail() {
  echo "FAILED: $*"
  [[ ! -e out ]] || cat out
  exit 1
}

modprobe -a dummy rdma_rxe
ip link add rxe-eth type dummy && ip address add 192.0.2.1/24 dev rxe-eth && ip link set rxe-eth up &&
  rdma link add rxe0 type rxe netdev rxe-eth || fail "cannot make rxe0"
trap 'rdma link delete rxe0; ip link delete rxe-eth; rmmod rdma_rxe' EXIT

peermr bench --compare rxe0 --size 8,64K --duration 0.2 --latency-samples 100 --repeat 1 --json report.json >out 2>&1 ||
  fail "status $?"
[[ $(grep -c '"verified": true' report.json) == 8 ]] || fail "not 8 rows are verified"
grep -q '^pnic0 against rxe0' out || fail "no comparison"

# Of the two a device that is a process of its own must win; by how much is for the benchmark to say.
ratio=$(sed -n 's/^write *64 KiB *x \([0-9]*\)\..*/\1/p' out)
((ratio >= 2)) || fail "pnic0 is only $ratio times as fast as rxe0"

# rxe has no PCI function and no dma-buf import: a clear refusal.
peermr bench --device rxe0 --loopback --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+1M" >out 2>&1
[[ $? == 3 ]] || fail "rxe with a BAR: the status should be 3"
grep -q 'rxe' out || fail "rxe with a BAR: the error does not name it"
exit 0
