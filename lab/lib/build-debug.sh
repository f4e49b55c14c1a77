#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# build-debug.sh RELEASE KEY: the kernel modules once more, for the debug kernel, inside the lab's root file system. Makes
# /build/stage-debug.new with all of that kernel's modules, its own and ours: it is laid over the stage.
set -euo pipefail
release=$1
key=$2
# shellcheck source=/dev/null
. /src/lab/lib/modules-inside.sh

compile_modules /run/kernel/build /build/kernel-debug "$key"
stage=/build/stage-debug.new
modules=$stage/usr/lib/modules/$release
rm -rf "$stage"
mkdir -p "$stage/usr/lib"
cp -a /run/kernel/build/modules/usr/lib/modules "$stage/usr/lib/"
mkdir "$modules/updates"
cp /build/kernel-debug/*/*.ko "$modules/updates/"
ln -s usr/lib "$stage/lib"
depmod -b "$stage" "$release"
rm "$stage/lib"
