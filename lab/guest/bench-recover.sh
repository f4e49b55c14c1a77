#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Measures in a guest how long a reset keeps regions from use, with an importer that takes faults and with one whose keys
# die, and how soon an application hears of a revoke. Leaves /share/recover-faultable.json, recover-revocable.json and
# /share/events.json. Arguments go to peermr bench recover.
set -euo pipefail
# shellcheck source=/dev/null
. /src/tests/guest/lib/devices.sh

modprobe dmabuf_watch
bind "$LAB_IVSHMEM" peermr_vfio
target=$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+16M
for import in faultable revocable; do
  echo "$import" >/sys/module/pnic/parameters/dmabuf_import
  peermr bench recover --label "$LAB_TOPOLOGY" --json "/share/recover-$import.json" --target "$target" "$@"
  echo
done
echo faultable >/sys/module/pnic/parameters/dmabuf_import
exec peermr bench events --label "$LAB_TOPOLOGY" --json /share/events.json --target "$target"
