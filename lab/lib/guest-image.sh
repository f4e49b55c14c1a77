#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# guest-image.sh KERNEL INIT OUTPUT: what a guest boots with, made inside the lab's root file system from itself
# (/lab/guest/root):
#   OUTPUT/kernel      decompressed: an emulated CPU would take seconds for it
#   OUTPUT/initramfs   a static busybox, the few modules that mount the root, and INIT
#   OUTPUT/root        the root file system as one image, without what only builds need; a file served through 9p costs a
#                      round trip for each of its path's components
# KERNEL "built-in": only the initramfs, without modules, for a kernel that has built in what mounts the root.
set -euo pipefail
kernel=$1
init=$2
output=$3
vmlinuz=/usr/lib/modules/$kernel/vmlinuz

# field OFFSET SIZE: an integer of the boot header (Linux: Documentation/arch/x86/boot.rst).
field() { od -An -t "u$2" -j "$1" -N "$2" "$vmlinuz" | tr -d ' '; }

make_kernel() {
  local sectors payload length
  [[ -e $vmlinuz ]] || vmlinuz=/boot/vmlinuz-$kernel
  sectors=$(field 0x1f1 1)
  payload=$(((sectors + 1) * 512 + $(field 0x248 4)))
  length=$(field 0x24c 4)
  # The payload ends with its decompressed size.
  if ! tail -c "+$((payload + 1))" "$vmlinuz" | head -c "$((length - 4))" | zstd -qdc >"$output/kernel"; then
    echo "not a zstd kernel: it is left to decompress itself"
    cp "$vmlinuz" "$output/kernel"
  fi
}

make_initramfs() {
  local dir applet
  dir=$(mktemp -d)
  mkdir -p "$dir/bin" "$dir/proc" "$dir/dev" "$dir/mnt" "$dir/modules"
  cp "$(command -v busybox)" "$dir/bin/busybox"
  for applet in sh mount mkdir insmod dd cat poweroff switch_root; do
    ln -s busybox "$dir/bin/$applet"
  done
  : >"$dir/modules/order"
  [[ $kernel == built-in ]] || add_modules "$dir/modules"
  cp "$init" "$dir/init"
  chmod 755 "$dir/init"
  mknod "$dir/dev/console" c 5 1
  (cd "$dir" && find . | cpio --quiet -o -H newc) >"$output/initramfs"
}

# add_modules DIR: with their names in DIR/order, in the order in which they must be loaded.
add_modules() {
  local dir=$1 path name
  modprobe --set-version "$kernel" --show-depends --all virtio_blk erofs 9pnet_virtio 9p overlay |
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
    while read -r path; do
      name=$(basename "$path" .xz)
      case $path in
        *.xz) xz -dc "$path" >"$dir/$name" ;;
        *) cp "$path" "$dir/$name" ;;
      esac
      echo "$name"
    done >"$dir/order"
}

# Left out: compilers, headers, and what they come with.
left_out='usr/(src|include|libexec/gcc|lib/gcc|lib/llvm[^/]*|lib/linux-kbuild[^/]*|share/cmake[^/]*)'
left_out+='|usr/lib/x86_64-linux-gnu/(lib(LLVM|clang|z3|asan|tsan|lsan|hwasan|ubsan)[^/]*|[^/]*\.a)'
left_out+='|usr/bin/(cmake|ctest|cpack|ninja|qemu-system-(i386|x86_64-microvm)|x86_64-linux-gnu-[^/]*)'
left_out+='|var/(lib/apt|cache|lib/dpkg)|boot'

make_root() {
  mkfs.erofs --quiet -x-1 -T0 --exclude-regex="^($left_out)(/.*)?\$" "$output/root" /lab/guest/root
}

make_initramfs
[[ $kernel != built-in ]] || exit 0
make_kernel
make_root
