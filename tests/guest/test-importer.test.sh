#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Mainline's vfio-pci waits for importers with bad manners; the importer that other tests use.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
export LAB_NIC0 LAB_NVME LAB_PMR_BAR LAB_IVSHMEM

modprobe -a dmabuf_watch peermr_test_importer
"$programs/test_importer" "$@" || fail "status $?"
for module in dmabuf_watch peermr_test_importer; do
  [[ $(<"/sys/module/$module/refcnt") == 0 ]] || fail "$module: something is left open"
  modprobe -r "$module"
done
