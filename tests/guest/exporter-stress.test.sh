#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 150
# All that can happen to exported memory, at once and in random order: nothing is left, nothing is stuck. For minutes by
# hand: /src/tests/guest/exporter-stress.test.sh --seconds 600
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_NIC1 LAB_NVME LAB_PMR_BAR

use_exporter
modprobe dmabuf_watch
"$programs/exporter_stress" --seconds $((20 * LAB_TIME_SCALE)) "$@" || fail "status $?"

check_no_buffers
for nic in "$LAB_NIC0" "$LAB_NIC1"; do
  check_no_objects "$nic"
done
check_self
[[ $(</sys/module/dmabuf_watch/refcnt) == 0 ]] || fail "dmabuf_watch: something is left open"
modprobe -r dmabuf_watch
