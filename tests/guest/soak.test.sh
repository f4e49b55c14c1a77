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
report=/dev/null
arguments=()
while (($#)); do
  case $1 in
    --seconds) seconds=$2 && shift ;;
    --report) report=$2 && shift ;; # its figures as lines of JSON are added to that file, also when it fails
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
  status=0
  "$programs/soak" --seconds "$seconds" "${arguments[@]}" | tee "out.$import" || status=$?
  sed -n "s/^{/&\"importer\": \"$import\", /p" "out.$import" >>"$report"
  ((status == 0)) || fail "importer $import: status $status"
done

# count FIELD: sum of a field of standard input, whose lines may have it several times.
count() { grep -o "\b$1 [0-9]*" | awk '{ sum += $2 } END { print sum + 0 }'; }

# What has to be released, as numbers; the checks say what exactly is left.
status=0
(
  check_no_buffers
  for nic in "$LAB_NIC0" "$LAB_NIC1"; do
    check_no_objects "$nic"
  done
  check_self
) || status=$?
buffers=$(cat /sys/kernel/debug/peermr_export/* | grep -c '^buffer' || true)
objects=$(rdma resource show | count '\(pd\|cq\|qp\|mr\|ctx\)')
dma=$(cat /sys/class/infiniband/pnic*/hw_counters/dma_{unmapped,after_invalidate} | awk '{ sum += $1 } END { print sum }')
printf '{"buffers_left": %d, "objects_left": %d, "impossible_dma": %d}\n' "$buffers" "$objects" "$dma" | tee -a "$report"
((status == 0)) || exit "$status"
[[ $(</sys/module/dmabuf_watch/refcnt) == 0 ]] || fail "dmabuf_watch: something is left open"
