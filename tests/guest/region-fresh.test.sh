#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Fresh keys with an importer whose keys work again after a restore: refused with the kernel's exporter, kept with ours.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

modprobe dmabuf_watch
"$programs/region_fresh" --gtest_filter='FreshOfMainline.*' || fail "mainline's exporter: status $?"
use_exporter "$LAB_IVSHMEM" "$LAB_MEM0"
"$programs/region_fresh" --gtest_filter='Fresh.*' || fail "our exporter: status $?"
LAB_IVSHMEM=$LAB_MEM0 LAB_IVSHMEM_BAR=$LAB_MEM_BAR "$programs/region_fresh" --gtest_filter='FreshAsleep.*' ||
  fail "a device that sleeps: status $?"
check_no_buffers
check_no_objects "$LAB_NIC0"
check_self
