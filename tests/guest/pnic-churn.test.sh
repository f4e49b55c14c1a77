#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 120
# Objects are made and destroyed while the device is reset and unbound: no race leaves anything behind.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

"$programs/churn" "$LAB_NIC0" $((20 * LAB_TIME_SCALE)) 4 >churn.log &
churn=$!
rounds=0
while kill -0 "$churn" 2>/dev/null; do
  if ((rounds++ % 2)); then
    echo 1 >"/sys/bus/pci/devices/$LAB_NIC0/reset"
  else
    echo "$LAB_NIC0" >/sys/bus/pci/drivers/pnic/unbind
    echo "$LAB_NIC0" >/sys/bus/pci/drivers/pnic/bind
  fi
  sleep "0.$((RANDOM % 5))"
done
wait "$churn" || fail "the device could never be used"
echo "$(cat churn.log), $rounds times gone"
((rounds > 10)) || fail "only $rounds rounds"
wait_for_device "$LAB_NIC0"
check_no_objects "$LAB_NIC0"
check_self
rmmod pnic || fail "something holds the module"
insmod "/usr/lib/modules/$(uname -r)/updates/pnic.ko"
