#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 180
# Regions that a monitor tells of what others do: both exporters, both kinds of importer; without dmabuf_watch.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

parameter=/sys/module/pnic/parameters/dmabuf_import
modprobe dmabuf_watch

"$programs/region_monitor" || fail "mainline's exporter, faultable: status $?"
echo revocable >"$parameter"
trap 'echo faultable >"$parameter"' EXIT
"$programs/region_monitor" || fail "mainline's exporter, revocable: status $?"

use_exporter "$LAB_IVSHMEM"
trap 'echo faultable >"$parameter"; give_back' EXIT
"$programs/region_monitor" || fail "our exporter, revocable: status $?"
echo faultable >"$parameter"
"$programs/region_monitor" || fail "our exporter, faultable: status $?"

[[ $(</sys/module/dmabuf_watch/refcnt) == 0 ]] || fail "a watch is left"
modprobe -r dmabuf_watch
"$programs/region_monitor" --gtest_filter='*CompletionAlone*:*OfTheOwner*' || fail "without dmabuf_watch: status $?"
check_no_objects "$LAB_NIC0"
check_self
