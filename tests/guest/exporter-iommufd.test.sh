#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# Device memory in an address space of iommufd, as a virtual machine's devices have one: what is mapped for a second
# device, and what a revoke leaves of it. The same for both drivers.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh
# shellcheck source=lib/debug-kernel.sh
. /src/tests/guest/lib/debug-kernel.sh
export LAB_NIC0 LAB_NVME LAB_IVSHMEM LAB_IVSHMEM_BAR LAB_DRIVER

need_debug_kernel IOMMUFD VFIO_DEVICE_CDEV
blocked="DMA Write.* Request device .$LAB_NVME. fault addr 0x40000000 .*PTE Write access is not set"
modprobe iommufd || fail "modprobe iommufd: status $?"
# doctor_says TEXT ARGS...: with its lines joined.
doctor_says() {
  local text=$1
  shift
  peermr doctor "$@" | tr -s ' \n' ' ' >said || true
  grep -q -- "$text" said || fail "doctor $* does not say '$text': $(cat said)"
}

doctor_says "OK /dev/iommu: iommufd is there"
doctor_says "OK $LAB_IVSHMEM: driver vfio-pci, IOMMU group [0-9]*, character device /dev/vfio/devices/vfio[0-9]"
doctor_says "$LAB_IVSHMEM: kernel and driver .*exporter mainline: .*; iommufd maps its delegated buffers" --probe "$LAB_IVSHMEM"
LAB_DRIVER=vfio-pci
"$programs/exporter_iommufd" --gtest_filter=-Own.* "$@" || fail "vfio-pci: status $?"
LAB_DRIVER=peermr_vfio
use_exporter "$LAB_IVSHMEM"
doctor_says "$LAB_IVSHMEM: exporter peermr_vfio: .*iommufd maps no buffer but those exported with --delegate, of one range"
doctor_says "$LAB_IVSHMEM: kernel and driver .*exporter peermr_vfio: .*; iommufd maps its delegated buffers" --probe "$LAB_IVSHMEM"
"$programs/exporter_iommufd" "$@" || fail "peermr_vfio: status $?"
"$programs/exporter_type1" --gtest_filter=Type1.MapsABarForAnotherDevice || fail "type1 on the same kernel: status $?"
# What did not arrive was on its way: the IOMMU stopped it.
grep -q "$blocked" <(dmesg) || fail "the IOMMU has not seen a write to where nothing is mapped"
check_self
