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
LAB_DRIVER=vfio-pci
"$programs/exporter_iommufd" --gtest_filter=-Own.* "$@" || fail "vfio-pci: status $?"
LAB_DRIVER=peermr_vfio
use_exporter "$LAB_IVSHMEM"
"$programs/exporter_iommufd" "$@" || fail "peermr_vfio: status $?"
"$programs/exporter_type1" --gtest_filter=Type1.MapsABarForAnotherDevice || fail "type1 on the same kernel: status $?"
# What did not arrive was on its way: the IOMMU stopped it.
grep -q "$blocked" <(dmesg) || fail "the IOMMU has not seen a write to where nothing is mapped"
check_self
