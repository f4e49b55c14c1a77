#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# build-inside.sh KERNEL PART: builds /src in /build, inside the lab's root file system: CMake's part, the kernel modules,
# and a directory STAGE with all that a guest needs at its real place. PART says how much, since compilers take their time:
#   run     what moves data: libraries, tools, device, provider, driver; STAGE is /build/stage-run.new
#   guest   also examples and the tests that run in guests; STAGE is /build/stage.new
#   all     also the tests that run without a guest; to the same
set -euo pipefail
kernel=$1
part=$2
headers=/usr/src/linux-headers-$kernel
# shellcheck source=/dev/null
. /src/lab/lib/modules-inside.sh

folders=(lib lab/nic providers/pnic tools)
stage=/build/stage-run.new
if [[ $part != run ]]; then
  folders+=(examples tests/guest)
  stage=/build/stage.new
fi

configure() {
  local option options=()
  for option in NIC PROVIDER TOOLS TESTS BENCH EXAMPLES; do
    options+=("-DPEERMR_BUILD_$option=ON")
  done
  cmake -S /src -B /build/cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib/x86_64-linux-gnu -DCMAKE_INSTALL_SYSCONFDIR=/etc \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O2 -g1 -DNDEBUG" -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O2 -g1 -DNDEBUG" \
    -DPEERMR_RDMA_CORE_SOURCE=/usr/src/rdma-core "${options[@]}"
}

# A guest without its tools would fail in strange ways: what is missing must be said here.
build_programs() {
  local folder targets=()
  for folder in "${folders[@]}"; do
    [[ -d /build/cmake/$folder ]] || {
      echo "$folder was left out of the build; CMake's summary says why:"
      cmake /build/cmake | grep 'left out' || true
      exit 1
    }
    targets+=("$folder/all")
  done
  [[ $part != all ]] || targets=(all)
  ninja -C /build/cmake -j "$(nproc)" "${targets[@]}"
}

# What modprobe looks things up in, for our modules and the stock ones together. Reading all of those takes ten seconds, so
# it is done only when something changes that the index says of ours.
index_modules() {
  local module about base=/tmp/modules
  about=$(
    echo "$kernel"
    for module in /build/kernel/*/*.ko; do
      echo "$module"
      modinfo -F depends -k "$kernel" "$module"
      modinfo -F alias -k "$kernel" "$module"
      modinfo -F softdep -k "$kernel" "$module"
    done
  )
  [[ $about != "$(cat /build/modules/about 2>/dev/null)" ]] || return 0
  rm -rf /build/modules
  # One tree of both; depmod follows no links. The mounts go with our namespace.
  mkdir -p /build/modules "$base/usr/lib/modules/$kernel"/{kernel,updates}
  ln -s usr/lib "$base/lib"
  cp "/usr/lib/modules/$kernel"/modules.{order,builtin,builtin.modinfo} "$base/usr/lib/modules/$kernel/"
  mount --bind "/usr/lib/modules/$kernel/kernel" "$base/usr/lib/modules/$kernel/kernel"
  cp /build/kernel/*/*.ko "$base/usr/lib/modules/$kernel/updates/"
  depmod -b "$base" "$kernel"
  cp "$base/usr/lib/modules/$kernel"/modules.* /build/modules/
  umount "$base/usr/lib/modules/$kernel/kernel"
  echo "$about" >/build/modules/about
}

install_stage() {
  local folder module
  rm -rf "$stage"
  mkdir -p "$stage/usr/lib/modules/$kernel/updates"
  for folder in "${folders[@]}"; do
    DESTDIR=$stage cmake --install "/build/cmake/$folder"
  done >/build/install.log
  for module in /build/kernel/*/*.ko; do
    cp "$module" "$stage/usr/lib/modules/$kernel/updates/"
  done
  cp /build/modules/modules.* "$stage/usr/lib/modules/$kernel/"
}

# Other options than last time: CMake itself notices only its own files.
if [[ ! -e /build/cmake/build.ninja ]] || ! cmp -s "$0" /build/configured-by; then
  configure
fi
cp "$0" /build/configured-by
build_programs
compile_modules "$headers" /build/kernel "$kernel"
index_modules
install_stage
