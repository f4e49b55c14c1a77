#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch
# timeout: 60
# A revoke that waits for an importer which does not let go: peermr export serves others meanwhile, ends it when the
# importer goes, and can be ended itself.
# shellcheck source-path=SCRIPTDIR source=tools/lib.sh
. /src/tests/guest/tools/lib.sh

bind "$LAB_NVME" peermr_vfio || fail "peermr_vfio"
modprobe peermr_test_importer || fail "peermr_test_importer"
bar=("$LAB_NVME" --bar "$LAB_PMR_BAR" --range 0:1M)
holder=
hold() {
  python3 /src/tests/guest/tools/hold.py ./socket "$LAB_NIC0" >out 2>&1 &
  holder=$!
  eventually grep -q holding out || fail "the importer does not map"
}
let_go() {
  kill "$holder"
  wait "$holder"
}

start_export "${bar[@]}"
hold
peermr revoke ./socket >revoke.out 2>&1 &
revoker=$!
eventually grep -q 'dead .*waiting for an importer' export.out || fail "the owner does not show that it waits"
expect 0 'dead.*a revoke waits for an importer' query ./socket
expect 1 'busy.*a revoke is under way' revoke ./socket
[[ ! -s revoke.out ]] || fail "the revoke does not wait: $(cat revoke.out)"
let_go
wait "$revoker" || fail "revoke: status $?: $(cat revoke.out)"
grep -q 'revoked for good' revoke.out || fail "revoke says $(cat revoke.out)"
end_export || fail "export: status $?"

start_export "${bar[@]}"
hold
peermr revoke ./socket >revoke.out 2>&1 &
revoker=$!
eventually grep -q 'waiting for an importer' export.out || fail "the second revoke does not wait"
# Closing the device waits for the importer as well, which is the kernel's promise.
kill "$owner"
eventually test ! -e socket || fail "the owner does not end serving"
let_go
wait "$owner" || fail "export with a revoke under way: status $?"
owner=
wait "$revoker" && fail "the revoke whose owner went says that it is done"
grep -q 'the owner has gone' revoke.out || fail "revoke says $(cat revoke.out)"
bind "$LAB_NVME" vfio-pci || fail "back to vfio-pci"
