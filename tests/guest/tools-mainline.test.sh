#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch
# timeout: 60
# peermr export, watch and the others on the kernel's own exporter: what it has works, what it lacks is said with the
# remedy.
# shellcheck source-path=SCRIPTDIR source=tools/lib.sh
. /src/tests/guest/tools/lib.sh

bind "$LAB_NVME" vfio-pci || fail "vfio-pci"
bar=("$LAB_NVME" --bar "$LAB_PMR_BAR" --range 0:1M)
remedy="bind $LAB_NVME to peermr_vfio: .*modprobe peermr_vfio.*driver_override"

[[ ! -e /dev/dmabuf_watch ]] || rmmod dmabuf_watch || fail "dmabuf_watch is in use"
start_export "${bar[@]}"
grep -q 'exporter mainline' export.out || fail "it does not say which exporter"
eventually grep -q 'revokes cannot be shown.*modprobe dmabuf_watch' export.out || fail "it does not say what is missing"
expect 3 'modprobe dmabuf_watch' watch ./socket --for "$LAB_NIC0"
for command in query revoke rearm; do expect 3 "$remedy" "$command" ./socket; done
end_export || fail "export: status $?"
for option in --mmap --manual-rearm; do
  expect 3 "$remedy" export "${bar[@]}" --socket ./socket "$option"
done
peermr doctor >out
grep -q 'WARN /dev/dmabuf_watch: it does not exist' out || fail "doctor does not miss the watch"
grep -q "OK   $LAB_NVME: exporter vfio-pci, the kernel's own" out || fail "doctor does not name the exporter"

modprobe dmabuf_watch || fail "dmabuf_watch"
start_export "${bar[@]}" --delegate
# The kernel's exporter does not see a reset through sysfs; the end of its device it does.
start_watch --timeout 20
grep -q "for $LAB_NIC0: unknown$" watch.out || fail "the state should be unknown"
reset_device "$LAB_NVME"
sleep 0.5
! grep -q invalidates watch.out || fail "the kernel's exporter has learnt to see resets"
end_export || fail "export with a watch: status $?"
eventually grep -q 'invalidates 1, total 1: unknown' watch.out || fail "the end of the device is not seen"
kill "$watcher"
end_watch || fail "watch: status $?"
