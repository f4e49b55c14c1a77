#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 240
# /dev/dmabuf_watch on buffers of mainline's vfio-pci: what it counts, says and refuses.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source-path=SCRIPTDIR source=lib/devices.sh
. /src/tests/guest/lib/devices.sh
export LAB_NIC0 LAB_NIC1 LAB_NVME LAB_PMR_BAR LAB_IVSHMEM

modprobe dmabuf_watch
[[ $(stat -c %a /dev/dmabuf_watch) == 666 ]] || fail "mode of /dev/dmabuf_watch"
status=0
"$programs/watch" "$@" || status=$?

# One of the tests has unplugged it.
echo 1 >/sys/bus/pci/rescan
bind "$LAB_IVSHMEM" vfio-pci
wait_for_device "$LAB_NIC1"

((!status)) || fail "status $status"
[[ $(</sys/module/dmabuf_watch/refcnt) == 0 ]] || fail "something is left open"
modprobe -r dmabuf_watch
