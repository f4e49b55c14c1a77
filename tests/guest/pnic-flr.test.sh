#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 300
# 100 function level resets under clients that are busy: each client is told, nothing is left.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

take_away() {
  echo 1 >"/sys/bus/pci/devices/$LAB_NIC0/reset"
  wait_for_device "$LAB_NIC0"
}

[[ $(cat "/sys/bus/pci/devices/$LAB_NIC0/reset_method") == flr* ]] || fail "sysfs would not use FLR"
outlive "$LAB_NIC0" 100 take_away
check_no_objects "$LAB_NIC0"
check_self
rmmod pnic || fail "something holds the module"
insmod "/usr/lib/modules/$(uname -r)/updates/pnic.ko"
