#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: refused
# timeout: 60
# Where the kernel knows no path, registering fails with one clear sentence.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
export LAB_TOPOLOGY LAB_NIC0 LAB_NIC1 LAB_NVME LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_PMR_BAR

"$programs/region" --gtest_filter='*.Path*:*.Prediction*:*.BadExports*' || fail "status $?"
output=$("$programs/peermr-example-write-to-bar" "$LAB_IVSHMEM" "$LAB_IVSHMEM_BAR" \
  "$(ib_name "$LAB_NIC0")" 2>&1) && fail "the example worked: $output"
echo "$output"
[[ $(wc -l <<<"$output") == 1 && $output == *"no peer-to-peer path"*"$LAB_NIC0"* ]] ||
  fail "no clear error: $output"
check_no_objects "$LAB_NIC0"
