#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 150
# Verified traffic into regions whose memory is taken away all the time, with both kinds of importer. For longer:
# lab/run soak
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
export LAB_NIC0 LAB_NIC1 LAB_MEM0 LAB_MEM1 LAB_MEM_BAR LAB_IVSHMEM LAB_IVSHMEM_BAR

seconds=$((10 * LAB_TIME_SCALE))
arguments=()
while (($#)); do
  case $1 in
    --seconds) seconds=$2 && shift ;;
    *) arguments+=("$1") ;;
  esac
  shift
done

parameter=/sys/module/pnic/parameters/dmabuf_import
modprobe dmabuf_watch
use_exporter "$LAB_MEM0" "$LAB_MEM1" "$LAB_IVSHMEM"
trap 'echo faultable >"$parameter"; give_back' EXIT
for import in faultable revocable; do
  echo "$import" >"$parameter"
  echo "importer: $import"
  "$programs/soak" --seconds "$seconds" "${arguments[@]}" || fail "importer $import: status $?"
done

check_no_buffers
for nic in "$LAB_NIC0" "$LAB_NIC1"; do
  check_no_objects "$nic"
done
check_self
[[ $(</sys/module/dmabuf_watch/refcnt) == 0 ]] || fail "dmabuf_watch: something is left open"
