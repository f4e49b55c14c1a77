#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Hooks of the root file system's installation, run on the host.
#   rootfs-kernel.sh pin ROOT SUITE     kernel and emulator come from the backports of SUITE
#   rootfs-kernel.sh install ROOT       the newest kernel, and what the lab needs to remember
set -eu

pin() {
  mkdir -p "$root/etc/apt/preferences.d"
  printf 'Package: qemu* seabios ipxe* libslirp* linux-*\nPin: release n=%s-backports\nPin-Priority: 900\n' "$1" \
    >"$root/etc/apt/preferences.d/peermr-lab"
}

# The headers' package names the release; point releases come and go.
newest_kernel() {
  chroot "$root" apt-cache show --no-all-versions linux-headers-amd64 |
    sed -n 's/^Depends:.*linux-headers-\([^ ,]*\).*/\1/p' | head -n 1
}

# Not linux-image-*: that one drags in an initramfs generator. Older packagings have nothing smaller.
install_kernel() {
  if chroot "$root" apt-cache show "linux-binary-$kernel" >/dev/null 2>&1; then
    set -- "linux-binary-$kernel" "linux-modules-$kernel"
  else
    set -- "linux-image-$kernel"
  fi
  chroot "$root" apt-get -q -y --no-install-recommends install "$@"
}

# Everything later works on a read-only root: mount points must be there.
prepare_root() {
  mkdir -p "$root/src" "$root/build" "$root/share" "$root/etc/peermr-lab" "$root/lab/run" \
    "$root/lab/image" "$root/lab/guest/root" "$root/lab/guest/stage" "$root/lab/guest/src"
  echo "$kernel" >"$root/etc/peermr-lab/kernel"
  # shellcheck disable=SC2016 # dpkg-query expands these
  chroot "$root" dpkg-query -W -f '${Package} ${Version}\n' >"$root/etc/peermr-lab/packages"
  echo peermr-lab >"$root/etc/hostname"
}

root=$2
case $1 in
  pin) pin "$3" ;;
  install)
    kernel=$(newest_kernel)
    [ -n "$kernel" ] || { echo "no kernel headers in the archive" >&2; exit 1; }
    echo "kernel $kernel"
    install_kernel
    prepare_root
    ;;
esac
