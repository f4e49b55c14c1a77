#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# vm.sh: one guest, run as the first process of its namespaces, inside the lab's root file system (see guest.sh):
#   /lab/image                   kernel, initramfs and root, of guest-image.sh
#   /lab/guest/{stage,src}       what else the guest sees, read-only
#   /lab/run                     logs, and share/, which the guest may write
# Environment: VM_TOPOLOGY, VM_ACCEL, VM_TIMEOUT (seconds, 0: none), VM_PNICD_ARGS, VM_MEMORY (size of the first memory
# device's BAR), VM_MONITOR (1: the guest can talk to QEMU's monitor), VM_PROBE (1: boot only),
# VM_TIME_SCALE (how much slower than usual the kernel is).
# Leaves QEMU's exit status in /lab/run/qemu-status and the device's in /lab/run/pnicd-status.
set -uo pipefail

# shellcheck source=/dev/null
. "/lab/guest/src/lab/topologies/$VM_TOPOLOGY"
pnicd=/lab/guest/stage/usr/bin/pnicd
nics=(nic0 nic1)
sockets=/run/lab

start_nics() {
  local nic args=() tries=0
  mkdir -p "$sockets"
  for nic in "${nics[@]}"; do
    args+=(--socket "$sockets/$nic.sock")
  done
  args+=(--memory-device "$sockets/mem0.sock,size=${VM_MEMORY:-64M}")
  args+=(--memory-device "$sockets/mem1.sock,size=64M,volatile")
  # shellcheck disable=SC2086 # several arguments on purpose
  "$pnicd" "${args[@]}" ${VM_PNICD_ARGS:-} >/lab/run/pnicd.log 2>&1 </dev/null &
  pnicd_pid=$!
  for nic in "${nics[@]}" mem0 mem1; do
    until [[ -S $sockets/$nic.sock ]]; do
      kill -0 "$pnicd_pid" 2>/dev/null && ((tries++ < 200)) || return 1
      sleep 0.05
    done
  done
}

# The device must outlive its guest and then end in order: anything else is a bug in it.
stop_nics() {
  local status=0
  kill -TERM "$pnicd_pid"
  (sleep 5; kill -KILL "$pnicd_pid") 2>/dev/null &
  wait "$pnicd_pid" || status=$?
  ((status == 0)) && echo ok || echo "ended with status $status after SIGTERM"
}

# start_guest: sets qemu_pid.
start_guest() {
  timeout --foreground -k 2 "$VM_TIMEOUT" "${qemu[@]}" -append "$append" <&0 2>/lab/run/qemu.log &
  qemu_pid=$!
}

# An emulated machine rarely, on a busy host, stops for ever in its kernel's first seconds, before anything of ours runs
# in it. Such a guest is started again, once, and its log kept: serial-hung.log.
boot_limit=$((100 * ${VM_TIME_SCALE:-1}))
watch_boot() {
  local waited
  for ((waited = 0; waited < boot_limit; waited++)); do
    sleep 1
    [[ ! -e /lab/run/share/prepare.log ]] || return 0
  done
  : >/lab/run/hung
  kill "$1"
}

# await_guest: its exit status in status, and in ended whose end came first, of QEMU and the device.
await_guest() {
  local watcher
  watch_boot "$qemu_pid" 2>/dev/null &
  watcher=$!
  status=0
  # shellcheck disable=SC2086 # there may be no device
  wait -n -p ended "$qemu_pid" $pnicd_pid || status=$?
  kill "$watcher" 2>/dev/null
}

# run_guest: QEMU's exit status to qemu-status. A guest whose device died is given a moment to show what it makes of it.
run_guest() {
  local status ended qemu_pid
  start_guest
  await_guest
  if [[ -e /lab/run/hung && $ended == "$qemu_pid" ]]; then
    cp /lab/run/serial.log /lab/run/serial-hung.log
    start_guest
    await_guest
  fi
  if [[ $ended == "$pnicd_pid" ]]; then
    echo "ended by itself with status $status" >/lab/run/pnicd-status
    pnicd_pid=
    (sleep 5; kill "$qemu_pid") 2>/dev/null &
    status=0
    wait "$qemu_pid" || status=$?
  fi
  echo "$status" >/lab/run/qemu-status
  [[ -z $pnicd_pid ]] || stop_nics >/lab/run/pnicd-status
}

machine=q35,memory-backend=ram,vmport=off
[[ $VM_ACCEL != kvm ]] || machine+=,kernel-irqchip=split
case $VM_ACCEL in
  kvm) accel=kvm ;;
  *) accel=tcg,thread=multi ;;
esac

# KASAN keeps a byte for each eight that the kernel maps, so for those of a large BAR too.
ram=2G
[[ -z ${VM_MEMORY:-} ]] || ((VM_TIME_SCALE == 1)) || ram=6G

qemu=(
  qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
  -machine "$machine" -accel "$accel" -cpu "$topology_cpu" -smp 2 -m "$ram"
  # Shared, so that the NICs' process can reach guest memory.
  -object "memory-backend-memfd,id=ram,size=$ram,share=on"
  -device isa-debug-exit,iobase=0xf4,iosize=4
  -serial file:/lab/run/serial.log
  -kernel /lab/image/kernel -initrd /lab/image/initramfs
)
# no_timer_check, as kernels under KVM do by themselves: on a busy host an emulated timer can be too late for the check.
append="console=ttyS0 loglevel=5 no_timer_check cryptomgr.notests=1 panic=-1 rcupdate.rcu_cpu_stall_timeout=$((60 * VM_TIME_SCALE)) lab.topology=$VM_TOPOLOGY lab.time_scale=$VM_TIME_SCALE lab.nic_domain=$topology_nic_domain"

# vfio_user ID SOCKET BUS [MORE]: a device of pnicd's; MORE is JSON.
vfio_user() {
  local socket="{\"type\":\"unix\",\"path\":\"$sockets/$2.sock\"}"
  qemu+=(-device "{\"driver\":\"vfio-user-pci\",\"id\":\"$1\",\"bus\":\"$3\",\"socket\":$socket${4:+,$4}}")
}

# A port of the guest leads to QEMU's own monitor.
add_monitor() {
  qemu+=(
    -chardev "socket,id=monitor,path=$sockets/monitor.sock,server=on,wait=off" -mon chardev=monitor,mode=control
    -chardev "socket,id=to-monitor,path=$sockets/monitor.sock" -device virtserialport,chardev=to-monitor,name=monitor
  )
}

add_devices() {
  local nic
  # Before all others: they get their address space from it.
  ((!topology_iommu)) || qemu+=(-device intel-iommu,intremap=on,caching-mode=on)
  qemu+=(
    -drive file=/lab/image/root,format=raw,if=none,readonly=on,id=root -device virtio-blk-pci,drive=root
    -fsdev local,id=lab,path=/lab/guest,security_model=none,readonly=on,multidevs=remap
    -device virtio-9p-pci,fsdev=lab,mount_tag=lab
    -fsdev local,id=share,path=/lab/run/share,security_model=none
    -device virtio-9p-pci,fsdev=share,mount_tag=share
    -device virtio-serial-pci -chardev stdio,id=console,signal=off -device virtconsole,chardev=console
    "${topology_ports[@]}"
    -object memory-backend-memfd,id=pmr,size=64M,share=on
    -device nvme,id=lab-nvme,serial=lab,pmrdev=pmr,bus=nvme
    -object memory-backend-memfd,id=shm,size=64M,share=on
    -device ivshmem-plain,id=lab-ivshmem,memdev=shm,bus=ivshmem
  )
  for nic in "${nics[@]}"; do
    vfio_user "lab-$nic" "$nic" "$nic"
  done
  # Two functions of one device: what resets one of them through their port resets both.
  vfio_user lab-mem0 mem0 mem '"addr":"0.0","multifunction":true'
  vfio_user lab-mem1 mem1 mem '"addr":"0.1","multifunction":true'
  [[ ${VM_MONITOR:-} != 1 ]] || add_monitor
}

pnicd_pid=
if [[ ${VM_PROBE:-} == 1 ]]; then
  append+=" lab.probe"
else
  start_nics || { echo "did not start" >/lab/run/pnicd-status; exit 1; }
  add_devices
fi
((!topology_iommu)) || append+=" intel_iommu=on"

run_guest
exit 0
