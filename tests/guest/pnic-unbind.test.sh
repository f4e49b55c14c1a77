#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 300
# The driver is unbound 100 times under clients that are busy: each client is told, nothing is left.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

take_away() {
  echo "$LAB_NIC0" >/sys/bus/pci/drivers/pnic/unbind
  [[ -z $(ib_name "$LAB_NIC0") ]] || fail "an unbound function has a device"
  echo "$LAB_NIC0" >/sys/bus/pci/drivers/pnic/bind
}

outlive "$LAB_NIC0" 100 take_away
check_no_objects "$LAB_NIC0"
check_self
rmmod pnic || fail "something holds the module"
insmod "/usr/lib/modules/$(uname -r)/updates/pnic.ko"
