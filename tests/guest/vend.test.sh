#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 240
# Borrowers of slices that are killed, stopped and reset under their feet, with traffic, for both kinds of importer. For
# longer by hand: /src/tests/guest/vend.test.sh --rounds 1000. Then the same interface from C.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

parameter=/sys/module/pnic/parameters/dmabuf_import
use_exporter "$LAB_IVSHMEM"
trap 'echo faultable >"$parameter"; give_back' EXIT
modprobe dmabuf_watch
for class in faultable revocable; do
  echo "$class" >"$parameter"
  "$programs/vend_stress" --rounds 40 "$@" >out 2>&1 || fail "$class: status $?: $(tail -n 20 out)"
  echo "$class: $(grep loans out), $(grep -c unreachable out) times shown unreachable"
  grep -q unreachable out || fail "$class: no loan that had ended was tried"
  "$programs/vend_in_c" "$(ib_name "$LAB_NIC0")" "$(ib_name "$LAB_NIC1")" "$programs/peermr-example-stream-to-dma-buf" ||
    fail "$class, from C: status $?"
  check_no_buffers
  check_no_objects "$LAB_NIC0"
done
check_self
[[ $(</sys/module/dmabuf_watch/refcnt) == 0 ]] || fail "dmabuf_watch: something is left open"
modprobe -r dmabuf_watch
