#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# build-inside.sh KERNEL: builds /src in /build, inside the lab's root file system: CMake's part, the kernel modules, and
# /build/stage with all that a guest needs at its real place.
set -euo pipefail
kernel=$1
headers=/usr/src/linux-headers-$kernel

configure() {
  local option options=()
  for option in NIC PROVIDER TOOLS TESTS BENCH EXAMPLES; do
    options+=("-DPEERMR_BUILD_$option=ON")
  done
  cmake -S /src -B /build/cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib/x86_64-linux-gnu -DCMAKE_INSTALL_SYSCONFDIR=/etc \
    -DPEERMR_RDMA_CORE_SOURCE=/usr/src/rdma-core "${options[@]}"
}

# Kbuild writes beside the sources: it works on a copy, made anew only when something changed, so that an unchanged
# module costs nothing.
build_modules() {
  local sum dir
  [[ -d /src/kernel ]] || return 0
  sum=$(cd /src/kernel && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
  if [[ $sum != "$(cat /build/kernel.sum 2>/dev/null)" || ! -d /build/kernel ]]; then
    rm -rf /build/kernel /build/kernel.sum
    cp -a /src/kernel /build/kernel
    for dir in /build/kernel/*/; do
      [[ -e $dir/Kbuild || -e $dir/Makefile ]] || continue
      echo "module: $dir"
      make -C "$headers" M="${dir%/}" -j"$(nproc)" W=1 modules
    done
    echo "$sum" >/build/kernel.sum
  fi
}

install_stage() {
  local stage=/build/stage.new module
  rm -rf "$stage"
  mkdir -p "$stage/usr/lib/modules/$kernel/updates" "$stage/usr/libexec/peermr-lab"
  DESTDIR=$stage cmake --install /build/cmake >/build/install.log
  # The device itself belongs to the lab, not to an installation.
  [[ ! -x /build/cmake/lab/nic/pnicd ]] || cp /build/cmake/lab/nic/pnicd "$stage/usr/libexec/peermr-lab/"
  for module in /build/kernel/*/*.ko; do
    [[ ! -e $module ]] || cp "$module" "$stage/usr/lib/modules/$kernel/updates/"
  done
  rm -rf /build/stage
  mv "$stage" /build/stage
}

[[ -e /build/cmake/build.ninja ]] || configure
cmake --build /build/cmake
build_modules
install_stage
