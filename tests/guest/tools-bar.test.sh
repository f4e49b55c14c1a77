#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# timeout: 60
# Without an IOMMU peermr export and the others work through peermr_bar, doctor says that peer to peer is possible, and a
# device that nobody can open comes with that remedy.
# shellcheck source-path=SCRIPTDIR source=tools/lib.sh
. /src/tests/guest/tools/lib.sh

modprobe dmabuf_watch || fail "dmabuf_watch"
name="$LAB_MEM0 BAR $LAB_MEM_BAR"
bar=("$LAB_MEM0" --bar "$LAB_MEM_BAR" --range 0:1M --range 2M:1M)
unbind "$LAB_MEM0" || fail "unbind"
expect 1 "no driver has it.*modprobe peermr_bar" export "${bar[@]}" --socket ./socket

bind "$LAB_MEM0" peermr_bar || fail "peermr_bar"
start_export "${bar[@]}" --manual-rearm --mmap
grep -q "^$name: 2 MiB in 2 ranges, exporter peermr_bar, mmap, manual re-arm, socket ./socket$" export.out ||
  fail "its first line"
start_watch --timeout 20
reset_device "$LAB_MEM0"
expect 0 "^$name: held, 2 MiB, mmap, manual re-arm$" query ./socket
expect 1 'revoked once more' rearm ./socket --revokes 0
expect 0 're-armed' rearm ./socket
expect 0 'revoked for good' revoke ./socket
end_watch || fail "watch: status $?"
[[ $(tail -n 1 watch.out) == *" total 3: dead" ]] || fail "not 3 invalidates: revoke, re-arm, revoke"
expect 1 'gone for good' revoke ./socket
expect 1 'another process has it' export "${bar[@]}" --socket ./other
end_export || fail "export: status $?"
expect 3 'nobody to delegate to' export "${bar[@]}" --delegate --socket ./socket

expect 0 "OK   $LAB_MEM0: exporter peermr_bar: " doctor
! grep -q FAIL out || fail "doctor: something failed"
expect 0 "OK   pnic0 -> $LAB_MEM0: host bridge" doctor
expect 0 "$LAB_MEM0: .*exporter peermr_bar: revoke for good, manual" doctor --probe "$LAB_MEM0"
unbind "$LAB_MEM0" || fail "unbind"
