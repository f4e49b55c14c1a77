#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: refused
# timeout: 90
# Where the kernel knows no path, our exporter says EXDEV to every importer, the library says what that means, and the log
# names both devices.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_TOPOLOGY LAB_NIC0 LAB_NIC1 LAB_NVME LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_PMR_BAR

use_exporter "$LAB_IVSHMEM"
modprobe peermr_test_importer
modprobe dmabuf_watch
"$programs/exporter_refused" "$@" || fail "status $?"
grep -q "$LAB_NIC0 cannot reach the memory of $LAB_IVSHMEM: no peer-to-peer path" <(dmesg) || fail "the log does not say so"
"$programs/region" --gtest_filter='*.PathThatTheKernelRefusesIsExplained' || fail "the library: status $?"
check_no_buffers
modprobe -r peermr_test_importer
check_no_objects "$LAB_NIC0"
check_self
