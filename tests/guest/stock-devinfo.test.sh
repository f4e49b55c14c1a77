#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports no-iommu
# timeout: 60
# Stock ibv_devinfo sees both NICs.
# shellcheck source=/dev/null
. /src/tests/guest/pnic/lib.sh
/src/tests/stock/devinfo.sh env || fail "status $?"
check_no_objects "$LAB_NIC0"
check_self
