#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Measures in a guest: host memory and the two BAR devices, over the path that the topology gives. Leaves
# /share/bench.json; all arguments but "--compare rxe" go to peermr bench.
set -euo pipefail

# The peer to compare with: stock rxe needs an Ethernet device with an address, and a dummy will do for loopback.
# With jumbo frames, so that its MTU is 4096 too.
make_rxe() {
  modprobe -a dummy rdma_rxe
  ip link add rxe-eth mtu 9000 type dummy
  ip address add 192.0.2.1/24 dev rxe-eth
  ip link set rxe-eth up
  rdma link add rxe0 type rxe netdev rxe-eth
}

args=()
while (($#)); do
  if [[ $1 == --compare && ${2:-} == rxe ]]; then
    make_rxe
    args+=(--compare rxe0)
    shift
  else
    args+=("$1")
  fi
  shift
done

# A span of 1 MiB is what the device's own copy works on, and perftest too.
exec peermr bench --label "$LAB_TOPOLOGY" --kernel-verdict --repeat 3 --duration 0.25 --span 1M --json /share/bench.json \
  --target host --target "$LAB_NVME:$LAB_PMR_BAR:0+16M" --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+16M" "${args[@]}"
