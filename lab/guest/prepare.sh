#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Makes a booted guest a place to work in: file systems, drivers, devices where they belong, and /etc/lab.env, which
# says where everything is. Its environment comes from the kernel command line (lab.topology, lab.nic_domain, lab.time_scale).
set -euo pipefail

option() { sed -n "s/.*\blab\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
note() { echo "$*"; }

mount_file_systems() {
  mount -t sysfs sysfs /sys
  mount -t tmpfs -o mode=1777 tmpfs /tmp
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /dev/pts /dev/shm
  mount -t devpts devpts /dev/pts
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  mount -t debugfs debugfs /sys/kernel/debug
  mount -t tracefs tracefs /sys/kernel/tracing
  ln -sf /proc/self/fd /dev/fd
  ip link set lo up
  hostname "lab-$topology"
}

# A stuck task is a finding: say so before the test's own time limit does. Emulation on a busy machine is slow, and
# slow is not stuck: the other watchdogs get patience.
set_watchdogs() {
  sysctl -q kernel.panic_on_oops=1 kernel.panic=-1
  sysctl -q kernel.hung_task_timeout_secs=$((20 * time_scale)) kernel.hung_task_check_interval_secs=5 || true
  sysctl -q kernel.watchdog_thresh=60 || true
  ulimit -c 0
}

# On the debug kernel, faults are injected by fail-nth (tests/guest/fault): also where an allocation may sleep or be in high
# memory, and without a stack trace for each, which would look like a bug's.
set_fault_injection() {
  local dir
  for dir in /sys/kernel/debug/{failslab,fail_page_alloc,fail_usercopy,fail_function}; do
    [[ -d $dir ]] || continue
    echo 0 >"$dir/verbose"
    [[ ! -e $dir/ignore-gfp-wait ]] || echo N >"$dir/ignore-gfp-wait"
    [[ ! -e $dir/ignore-gfp-highmem ]] || echo N >"$dir/ignore-gfp-highmem"
    [[ ! -e $dir/min-order ]] || echo 0 >"$dir/min-order"
  done
}

# by_id VENDOR:DEVICE: addresses of such devices, in order.
by_id() {
  local dir
  for dir in /sys/bus/pci/devices/*; do
    [[ $(<"$dir/vendor"):$(<"$dir/device") != "0x${1%:*}:0x${1#*:}" ]] || echo "${dir##*/}"
  done
}

# The driver decides how a NIC reaches memory by the domain of its IOMMU group, which can change only while no driver is
# bound.
set_nic_domain() {
  local nic
  [[ -n $nic_domain ]] || return 0
  for nic in "${nics[@]}"; do
    echo "$nic_domain" >"/sys/bus/pci/devices/$nic/iommu_group/type"
  done
}

# A persistent memory region answers only after PMRCTL.EN; /dev/mem can set it as long as no driver owns the BAR.
enable_pmr() {
  local base
  base=$(awk 'NR == 1 { print $1 }' "/sys/bus/pci/devices/$1/resource")
  setpci -s "$1" COMMAND=2:2
  busybox devmem $((base + 0xe04)) 32 1
  setpci -s "$1" COMMAND=0:2
}

bind_to_vfio() {
  [[ -e /sys/bus/pci/devices/$1/iommu_group ]] || {
    note "$1: no IOMMU group, left without vfio-pci"
    return 0
  }
  echo vfio-pci >"/sys/bus/pci/devices/$1/driver_override"
  echo "$1" >/sys/bus/pci/drivers_probe
}

load_drivers() {
  modprobe -a vfio-pci ib_uverbs pnic
}

topology=$(option topology)
nic_domain=$(option nic_domain)
time_scale=$(option time_scale)
mount_file_systems
set_watchdogs
set_fault_injection
mapfile -t nics < <(by_id 1234:504e)
nvme=$(by_id 1b36:0010)
ivshmem=$(by_id 1af4:1110)
mapfile -t memories < <(by_id 1234:504f)
set_nic_domain
[[ -z $nvme ]] || enable_pmr "$nvme"
load_drivers
for device in $nvme $ivshmem "${memories[@]}"; do
  bind_to_vfio "$device"
done

cat >/etc/lab.env <<END
LAB_TOPOLOGY=$topology
LAB_TIME_SCALE=$time_scale
LAB_NIC0=${nics[0]:-}
LAB_NIC1=${nics[1]:-}
LAB_NVME=$nvme
LAB_PMR_BAR=4
LAB_IVSHMEM=$ivshmem
LAB_IVSHMEM_BAR=2
LAB_MEM0=${memories[0]:-}
LAB_MEM1=${memories[1]:-}
LAB_MEM_BAR=2
LAB_MEM_BAR2=4
END
