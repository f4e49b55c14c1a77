#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Measures in a guest what a revoke costs, with this project's exporter and with the kernel's own, in pairs: first many
# buffers of one BAR, then one buffer of a small and of a huge part of another. Leaves /share/revoke.json and
# /share/revoke-size.json. Arguments go to peermr bench revoke.
set -euo pipefail
# shellcheck source=/dev/null
. /src/tests/guest/lib/devices.sh

modprobe vfio-pci
bind "$LAB_IVSHMEM" peermr_vfio
peermr bench revoke --label "$LAB_TOPOLOGY" --against vfio-pci --json /share/revoke.json \
  --target "$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:0+16M" "$@"
echo
bind "$LAB_MEM0" peermr_vfio
exec peermr bench revoke --label "$LAB_TOPOLOGY" --against vfio-pci --json /share/revoke-size.json \
  --target "$LAB_MEM0:$LAB_MEM_BAR:0+16M" --target "$LAB_MEM0:$LAB_MEM_BAR:all" "$@" --buffers 1
