#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# build.sh STEP, inside the root file system that has the kernel's source and tools (lib/kernel.sh). The source is in
# /run/kernel/source, read-only; everything is made in /run/kernel/build, and may go on from what an earlier try left.
#   configure   debug.config over Kconfig's defaults, then verified
#   compile     kernel and modules
#   install     what guests need: guest-kernel, release, and modules/usr/lib/modules/RELEASE
# Modules built later find both places under the same paths (lib/build-inside.sh).
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source=/run/kernel/source
build=/run/kernel/build

configure() {
  make -C "$source" O="$build" KCONFIG_ALLCONFIG="$here/debug.config" alldefconfig
  verify_config "$here/debug.config" "$build/.config"
}

# verify_config WANTED FOUND: Kconfig drops without a word what depends on something that is not there.
verify_config() {
  local line option value found lost=0
  while read -r line; do
    [[ $line == CONFIG_* ]] || continue
    option=${line%%=*}
    value=${line#*=}
    found=$(sed -n "s/^$option=//p" "$2")
    [[ ${found:-n} != "$value" ]] || continue
    echo "configuration: $option=$value was asked for, but it is ${found:-n}"
    lost=1
  done <"$1"
  return "$lost"
}

export KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab

# Code that never handles our objects is not instrumented: building it takes a third less time, and guests are quicker. (What
# it frees is still poisoned, and what it is handed is still checked where it copies.) In the environment, unexpanded until
# Kbuild knows the folder, these give way to what a folder says of itself; on the command line they would not.
# shellcheck disable=SC2016 # make expands it
KASAN_SANITIZE='$(if $(filter mm/% fs/% net/% block/% ipc/% security/% crypto/% drivers/tty/% drivers/char/% drivers/video/% drivers/thermal/% drivers/virtio/% drivers/block/% drivers/pnp/%,$(obj)/),n)'
export KASAN_SANITIZE UBSAN_SANITIZE=$KASAN_SANITIZE

# The PVH entry, by which guests boot, calls memcmp long before there is a shadow to look at. The kernel's own lib/Makefile
# leaves string.o out only for memory encryption. On the command line: make does not pass on a name with a dot otherwise.
compile() { make -C "$build" -j"$(nproc)" KASAN_SANITIZE_string.o=n vmlinux modules; }

install() {
  local release
  release=$(<"$build/include/config/kernel.release")
  rm -rf "$build/modules"
  make -C "$build" INSTALL_MOD_PATH="$build/modules/usr" modules_install
  rm -f "$build/modules/usr/lib/modules/$release/build"
  # What a guest loads, without the symbols that only debuggers need.
  objcopy --strip-all "$build/vmlinux" "$build/guest-kernel"
  echo "$release" >"$build/release"
}

"$1"
