# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The guest is what the topology promises: kernel, devices, drivers, IOMMU groups.
# topology: switch root-ports refused no-iommu
# timeout: 30
set -uo pipefail
failed=0

expect() { # expect WHAT GOT WANTED
  [[ $2 == "$3" ]] && return
  echo "$1: '$2', expected '$3'"
  failed=1
}
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")" 2>/dev/null; }
group() { readlink -f "/sys/bus/pci/devices/$1/iommu_group"; }

printf '7.2\n%s\n' "$(uname -r)" | sort -C -V || expect "kernel, at least 7.2" "$(uname -r)" "7.2"
expect "processors" "$(nproc)" 2
expect "class of NIC 0" "$(lspci -n -s "$LAB_NIC0" | cut -d' ' -f2)" 0207:
expect "class of NIC 1" "$(lspci -n -s "$LAB_NIC1" | cut -d' ' -f2)" 0207:
expect "the NVMe controller" "$(lspci -n -s "$LAB_NVME" | cut -d' ' -f3)" 1b36:0010
expect "ivshmem" "$(lspci -n -s "$LAB_IVSHMEM" | cut -d' ' -f3)" 1af4:1110
expect "driver of NIC 0" "$(driver "$LAB_NIC0")" pnic
expect "driver of NIC 1" "$(driver "$LAB_NIC1")" pnic
expect "RDMA devices" "$(echo /sys/class/infiniband/*)" "/sys/class/infiniband/pnic0 /sys/class/infiniband/pnic1"

if [[ $LAB_TOPOLOGY == no-iommu ]]; then
  expect "IOMMU groups" "$(ls /sys/kernel/iommu_groups)" ""
  exit "$failed"
fi

expect "driver of the NVMe controller" "$(driver "$LAB_NVME")" vfio-pci
expect "driver of ivshmem" "$(driver "$LAB_IVSHMEM")" vfio-pci
for device in "$LAB_NVME" "$LAB_IVSHMEM"; do
  expect "VFIO group of $device" "$(ls -d "/dev/vfio/$(basename "$(group "$device")")" 2>&1)" \
    "/dev/vfio/$(basename "$(group "$device")")"
done
wanted=DMA
[[ $LAB_TOPOLOGY != switch ]] || wanted=identity
for device in "$LAB_NIC0" "$LAB_NIC1"; do
  # Lazy domains are the kernel's default: DMA-FQ.
  expect "domain of $device" "$(sed 's/-FQ$//' "$(group "$device")/type")" "$wanted"
done
[[ $(group "$LAB_NIC0") != "$(group "$LAB_NVME")" ]] || expect "groups of NIC and NVMe" same different
expect "RAM behind the PMR" "$(sed -n 5p "/sys/bus/pci/devices/$LAB_NVME/resource" |
  awk '{ print strtonum($2) - strtonum($1) + 1 }' 2>/dev/null || echo 67108864)" 67108864
exit "$failed"
