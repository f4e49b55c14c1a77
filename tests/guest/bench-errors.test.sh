# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What cannot be measured is refused with one line that names the object and the remedy, and a status other than 0.
# topology: switch
# timeout: 120
set -uo pipefail
failures=0

# expect STATUS TEXT ARGS...: peermr ARGS ends with STATUS, and says TEXT (a regular expression) in a single line.
expect() {
  local status=$1 text=$2 output got
  shift 2
  output=$(timeout 20 peermr "$@" 2>&1)
  got=$?
  if [[ $got != "$status" ]] || ! grep -Eq "$text" <<<"$output" || (($(wc -l <<<"$output") > 2)); then
    echo "FAILED: peermr $*: status $got, expected $status with '$text'; it said:"
    echo "$output"
    failures=$((failures + 1))
  fi
}
target() { expect "$1" "$2" bench --size 4K --duration 0.02 --target "$3"; }

port=$(basename "$(dirname "$(readlink -f "/sys/bus/pci/devices/$LAB_NVME")")")
target 1 '0000:7f:1f.7.*[Nn]o such device' 0000:7f:1f.7:2:0+1M
target 1 "$LAB_NIC0.*(pnic|vfio).*vfio-pci" "$LAB_NIC0:2:0+1M"
target 1 "$port" "$port:0:0+4K"
target 1 "$LAB_IVSHMEM BAR 5.*no such BAR" "$LAB_IVSHMEM:5:0+1M"
target 3 'not prefetchable.*--allow-non-prefetchable' "$LAB_NVME:0:0+4K"
target 3 'which part.*OFFSET.LENGTH.*64 MiB' "$LAB_IVSHMEM:2"
target 1 "$LAB_IVSHMEM BAR 2.*(align|page)" "$LAB_IVSHMEM:2:100+1M"
target 1 "$LAB_IVSHMEM BAR 2.*(align|page)" "$LAB_IVSHMEM:2:0+5000"
target 1 "$LAB_IVSHMEM BAR 2.*past" "$LAB_IVSHMEM:2:64M+4K"
target 1 "$LAB_IVSHMEM BAR 2.*past" "$LAB_IVSHMEM:2:60M+8M"
target 2 'the range is empty' "$LAB_IVSHMEM:2:0+0"
expect 1 'nonesuch.*pnic0' bench --device nonesuch
expect 1 'No such file|cannot|create' bench --size 8 --duration 0.02 --json /nonexistent/x.json

# A device that another process has open.
peermr bench --duration 20 --size 4K --target "$LAB_IVSHMEM:2:0+1M" >/dev/null 2>&1 &
busy=$!
sleep 2
target 1 "$LAB_IVSHMEM.*([Bb]usy|open)" "$LAB_IVSHMEM:2:0+1M"
kill "$busy"
wait "$busy" 2>/dev/null

# No driver for the NIC.
rmmod pnic
expect 1 'there is none.*driver' bench
peermr topo >out
grep -q 'there is no RDMA device' out || { echo "FAILED: topo without an RDMA device:"; cat out; failures=$((failures + 1)); }
peermr doctor >out && { echo "FAILED: doctor says that all is well without an RDMA device"; failures=$((failures + 1)); }
grep -q 'FAIL RDMA: there is no RDMA device' out || { cat out; failures=$((failures + 1)); }
insmod "/usr/lib/modules/$(uname -r)/updates/pnic.ko"

exit $((failures != 0))
