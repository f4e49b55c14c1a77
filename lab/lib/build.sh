# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the checkout inside the lab's root file system. Each checkout has a build directory of its own in the cache.

# ensure_build run|guest|all: builds what changed of that part (build-inside.sh), and sets LAB_STAGE to a snapshot of what
# would be installed, which other runs do not touch.
ensure_build() {
  set_build_dir
  mkdir -p "$LAB_BUILD"
  echo "$LAB_SOURCE" >"$LAB_BUILD/source"
  take_lock 8 "$LAB_BUILD.lock" -x "another run is building this checkout"
  build_locked "$1"
  [[ -z $LAB_DEBUG_KERNEL ]] || build_debug_locked
  drop_lock 8
  snapshot_stage "$stage"
}

# reuse_build: the same without building, from what there is most of.
reuse_build() {
  set_build_dir
  if [[ -d $LAB_BUILD/stage ]]; then
    snapshot_stage stage
  elif [[ -d $LAB_BUILD/stage-run ]]; then
    snapshot_stage stage-run
  else
    die "nothing has been built yet: $LAB_COMMAND_LINE build"
  fi
}

# build_debug_locked: the kernel modules for the debug kernel, to stage-debug. stage-debug.of says which one it was: the
# loader cannot tell two debug kernels of the same release apart.
build_debug_locked() {
  local key=${LAB_DEBUG_KERNEL##*/}
  step build-debug "building the kernel modules for $LAB_DEBUG_RELEASE" in_kernel_build \
    bash /src/lab/lib/build-debug.sh "$LAB_DEBUG_RELEASE" "$key"
  # shellcheck disable=SC2016 # the inner shell expands
  flock "$LAB_BUILD.stage.lock" sh -c 'rm -rf "$1" && mv "$1.new" "$1" && echo "$2" >"$1.of"' sh \
    "$LAB_BUILD/stage-debug" "$key"
}

# snapshot_stage STAGE: see ensure_build.
snapshot_stage() {
  local dir=$LAB_CACHE/stages/$$ old
  mkdir -p "$LAB_CACHE/stages"
  for old in "$LAB_CACHE"/stages/*/; do
    # Of a run that was killed.
    [[ ! -e $old ]] || remove_if_unused "${old%/}"
  done
  doom "$dir"
  doom "$dir.lock"
  exec {lab_run_lock}>>"$dir.lock"
  flock -s "$lab_run_lock"
  mkdir "$dir"
  LAB_STAGE=$dir/stage
  # Hard links: the build makes new files, it never writes into these.
  flock "$LAB_BUILD.stage.lock" cp -al "$LAB_BUILD/$1" "$LAB_STAGE"
  [[ -n $LAB_DEBUG_KERNEL ]] || return 0
  [[ $(cat "$LAB_BUILD/stage-debug.of" 2>/dev/null) == "${LAB_DEBUG_KERNEL##*/}" ]] ||
    die "the kernel modules have not been built for this debug kernel: leave out --no-build"
  flock "$LAB_BUILD.stage.lock" cp -al "$LAB_BUILD/stage-debug/." "$LAB_STAGE/"
}

build_locked() {
  local title="building"
  stage=stage
  [[ $1 != run ]] || stage="stage-run"
  if ! cmp -s "$LAB_BUILD/built-with" <(build_tools); then
    # Another compiler or other headers: nothing from before is of use.
    rm -rf --one-file-system -- "$LAB_BUILD/cmake" "$LAB_BUILD/kernel"
    build_tools >"$LAB_BUILD/built-with"
  fi
  [[ -e $LAB_BUILD/cmake/build.ninja ]] || title+=" (for the first time: some minutes)"
  step build "$title" in_build bash /src/lab/lib/build-inside.sh "$LAB_KERNEL" "$1"
  # shellcheck disable=SC2016 # the inner shell expands
  flock "$LAB_BUILD.stage.lock" sh -c 'rm -rf "$1" && mv "$1.new" "$1"' sh "$LAB_BUILD/$stage"
}

# build_tools: packages that builds depend on, with their versions.
build_tools() {
  grep -E '^(g\+\+|gcc|cpp|clang|cmake|ninja|make|rdma-core|linux-kbuild|linux-headers|[^ ]*-dev)' \
    "$LAB_ROOTFS/etc/peermr-lab/packages"
}

# in_build CMD...: see in_rootfs.
in_build() { in_rootfs "$LAB_SOURCE" /src ro "$LAB_BUILD" /build rw -- "$@"; }

set_build_dir() { LAB_BUILD=$LAB_CACHE/build/$(sha256sum <<<"$LAB_SOURCE" | cut -c1-12); }
