#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# enter.sh ROOTFS [SOURCE TARGET ro|rw]... -- CMD...: runs CMD in the root file system ROOTFS, which stays read-only, with
# each SOURCE bound to TARGET inside. Runs as the first process of namespaces of its own (see in_rootfs), so that mounts
# and processes are gone when it is.
set -euo pipefail

root=$1
shift
mount --bind "$root" "$root"
cd "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty kvm; do
  [[ -e /dev/$device ]] || continue
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"

while [[ $1 != -- ]]; do
  # Places in /run are made here: what needs them is the same in every root file system.
  [[ $2 != /run/* ]] || mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  [[ $3 == rw ]] || mount -o remount,bind,ro "$root$2"
  shift 3
done
shift

# A new network namespace has its loopback down.
[[ -n ${LAB_HOST_NETWORK:-} ]] || chroot "$root" ip link set lo up
exec chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/tmp LANG=C.UTF-8 \
  TERM="${TERM:-dumb}" "$@"
