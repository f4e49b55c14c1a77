#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# initramfs.sh KERNEL INIT OUTPUT: the guest's initramfs, made inside the lab's root file system: a static busybox, the
# few modules that mount the root, decompressed beforehand, and INIT.
set -eu
kernel=$1
modules=/usr/lib/modules/$kernel/kernel
dir=$(mktemp -d)

mkdir -p "$dir/bin" "$dir/proc" "$dir/dev" "$dir/mnt"
cp "$(command -v busybox)" "$dir/bin/busybox"
for path in fs/netfs/netfs net/9p/9pnet net/9p/9pnet_virtio fs/9p/9p fs/overlayfs/overlay; do
  name=$dir/${path##*/}.ko
  if [ -e "$modules/$path.ko" ]; then
    cp "$modules/$path.ko" "$name"
  else
    xz -dc "$modules/$path.ko.xz" >"$name"
  fi
done
cp "$2" "$dir/init"
chmod 755 "$dir/init"
mknod "$dir/dev/console" c 5 1
cd "$dir"
find . | cpio --quiet -o -H newc >"$3"
