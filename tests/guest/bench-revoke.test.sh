#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch
# timeout: 120
# peermr bench revoke: one pair of rounds under few buffers, and what it writes; the device has its driver back.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=lib/devices.sh
. /src/tests/guest/lib/devices.sh

modprobe peermr_vfio
peermr bench revoke --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+64K" --buffers 1,40 --against peermr_vfio --pairs 1 \
  --repeat 1 --label short --json report.json >out 2>&1 || fail "status $?: $(cat out)"
grep -q 'Revoke (short): importer pnic0 (emulated, faultable), path ' out || fail "no such head: $(cat out)"
python3 - <<'END' || fail "the document is wrong"
import json
report = json.load(open("report.json"))
assert report["schema"] == "peermr-bench-revoke/1" and report["importer"]["kind"] == "emulated", report
assert (report["driver"], report["against"]) == ("vfio-pci", "peermr_vfio"), report
assert len(report["series"]) == 4 and len(report["comparisons"]) == 2, report
for one in report["series"]:
    assert sorted(one["microseconds"]) == ["access", "export", "map", "release", "restore", "revoke"], one
    assert all(values[0] > 0 and len(values) == 1 for values in one["microseconds"].values()), one
END
[[ $(driver_of "$LAB_IVSHMEM") == vfio-pci ]] || fail "its driver is now $(driver_of "$LAB_IVSHMEM")"
check_no_objects "$LAB_NIC0"
check_self
