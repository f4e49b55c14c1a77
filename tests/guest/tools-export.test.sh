#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# peermr export lends a buffer of peermr_vfio over a socket; watch counts each invalidate; query, revoke and rearm reach
# the owner and fail clearly.
# shellcheck source-path=SCRIPTDIR source=tools/lib.sh
. /src/tests/guest/tools/lib.sh

bind "$LAB_NVME" peermr_vfio || fail "peermr_vfio"
modprobe dmabuf_watch || fail "dmabuf_watch"
name="$LAB_NVME BAR $LAB_PMR_BAR"
bar=("$LAB_NVME" --bar "$LAB_PMR_BAR" --range 0:1M --range 2M:1M)

start_export "${bar[@]}"
grep -q "^$name: 2 MiB in 2 ranges, exporter peermr_vfio, socket ./socket$" export.out || fail "its first line"
[[ $(stat -c '%a %F' socket) == "600 socket" ]] || fail "the socket is $(stat -c '%a %F' socket)"
expect 0 "^$name: live, 2 MiB$" query ./socket
expect 0 '"state":"live"' query ./socket --json

# Exactly counted: a reset revokes and restores.
start_watch --timeout 4
for ((i = 0; i < 3; i++)); do reset_device "$LAB_NVME"; done
end_watch || fail "watch: status $?"
grep -q "^$name, 2 MiB, for $LAB_NIC0: live$" watch.out || fail "the watch's first line"
[[ $(tail -n 1 watch.out) == *" total 6: live" ]] || fail "not 6 invalidates"
expect 0 'revokes 3, restores 3' query ./socket
eventually grep -q 'live (revokes 3, restores 3)' export.out || fail "the owner does not show them"
start_watch --json --count 2 --timeout 10
reset_device "$LAB_NVME"
end_watch || fail "watch --count: status $?"
grep -q '"event":"invalidate".*"state":"live","total":2' watch.out || fail "the watch's JSON"
expect 1 'neither' watch ./socket --for no-such-nic
expect 1 'no PCI device 0000:7f:1f.7' watch ./socket --for 0000:7f:1f.7
expect 0 "for $LAB_NIC0: live" watch "$owner/$(find "/proc/$owner/fd" -lname "/dmabuf:*" -printf "%f\n" -quit)" \
  --for pnic0 --timeout 0.2

# Re-arming what is armed does nothing; revoking is for good.
expect 0 "^$name: re-armed$" rearm ./socket
start_watch --timeout 20
expect 0 "^$name: revoked for good$" revoke ./socket
end_watch || fail "the watch of a dead buffer: status $?"
[[ $(tail -n 1 watch.out) == *" total 1: dead" ]] || fail "the watch does not end with the buffer"
expect 1 'gone for good: the buffer was revoked for good before' revoke ./socket
expect 1 'gone for good' rearm ./socket
expect 0 "^$name: dead" query ./socket
expect 1 'gone for good|lets nobody attach' watch ./socket --for "$LAB_NIC0"

# One at a time, and nothing is left behind.
expect 1 'somebody listens there|[Bb]usy' export "${bar[@]}" --socket ./socket
end_export || fail "export: status $?"
[[ ! -e socket ]] || fail "the socket is left"
expect 1 'is peermr export running' query ./socket

# An owner that was killed leaves a socket, which the next one replaces; a file it does not.
start_export "${bar[@]}" --read-only
kill -9 "$owner"
wait "$owner" 2>/dev/null
owner=
[[ -S socket ]] || fail "there should be a socket left"
start_export "${bar[@]}" --read-only
expect 0 'read-only' query ./socket
end_export || fail "read-only export: status $?"
echo precious >file
expect 1 'left alone' export "${bar[@]}" --socket ./file
[[ $(cat file) == precious ]] || fail "the file is gone"

# Manual re-arm: a reset holds the buffer until its owner says so, and says it of this reset.
start_export "${bar[@]}" --manual-rearm
reset_device "$LAB_NVME"
expect 0 "^$name: held, 2 MiB, manual re-arm$" query ./socket
expect 1 'revoked once more' rearm ./socket --revokes 0
expect 0 "^$name: held" query ./socket
expect 0 're-armed' rearm ./socket --revokes 1
expect 0 "^$name: live" query ./socket
end_export || fail "manual export: status $?"
grep -q 'held (revokes 1, restores 0)' export.out || fail "the owner does not show that it is held"

# The driver's limits come with a remedy.
expect 3 'peermr_wc_bars' export "${bar[@]}" --mmap --write-combine --socket ./socket
expect 1 'past the BAR' export "$LAB_NVME" --bar "$LAB_PMR_BAR" --range 0:1T --socket ./socket
[[ ! -e socket ]] || fail "a socket is left after a failure"
start_export "${bar[@]:0:5}" --delegate
expect 1 "exporter did not make" query ./socket
end_export || fail "delegated export: status $?"

peermr doctor >out
grep -q "OK   $LAB_NVME: exporter peermr_vfio: " out || fail "doctor does not name the exporter"
grep -q 'OK   /dev/dmabuf_watch' out || fail "doctor does not know of the watch"
expect 0 "$LAB_NVME: .*exporter peermr_vfio: revoke for good, manual" doctor --probe "$LAB_NVME"
if [[ ! -e /dev/iommu ]]; then
  grep -q 'WARN /dev/iommu: ' out || fail "doctor does not miss iommufd"
  tr -s ' \n' ' ' <out | grep -q "; iommufd did not map its delegated buffers: open /dev/iommu: No such file" || fail "the probe tried iommufd"
fi
bind "$LAB_NVME" vfio-pci || fail "back to vfio-pci"
