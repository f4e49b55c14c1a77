#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu switch
# timeout: 180
# The exporter for machines without an IOMMU: its character device, and RDMA into the BAR through it.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=lib/devices.sh
. /src/tests/guest/lib/devices.sh
export LAB_NIC0 LAB_NIC1 LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_MEM0 LAB_MEM_BAR

back() {
  local device
  for device in "$LAB_IVSHMEM" "$LAB_MEM0"; do
    if [[ $LAB_TOPOLOGY == no-iommu ]]; then
      unbind "$device"
    else
      bind "$device" vfio-pci
    fi
  done
}
trap back EXIT
bind "$LAB_IVSHMEM" peermr_bar || fail "status $?"
bind "$LAB_MEM0" peermr_bar || fail "status $?"
modprobe peermr_test_importer
"$programs/exporter_bar" "$@" || fail "status $?"

peermr bench --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+4M" --target "$LAB_MEM0:$LAB_MEM_BAR:0+4M" --size 4K,1M \
  --duration 0.05 --span 4M --kernel-verdict --json bench.json || fail "peermr bench: status $?"
python3 - "$LAB_TOPOLOGY" <<'END' || fail "bench.json is not as expected"
import json, sys
path = {'switch': 'bus address', 'no-iommu': 'host bridge'}[sys.argv[1]]
rows = json.load(open('bench.json'))['rows']
assert len(rows) == 8, rows
for row in rows:
    assert row['verified'], row
    assert row['path_predicted'] == path and row['path_kernel'] == path, row
END
check_no_objects "$LAB_NIC0"
check_no_objects "$LAB_NIC1"
check_self
