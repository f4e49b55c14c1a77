# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The debug kernel: built on request from the distribution's kernel source, kept in the cache, and booted by guests that
# ask for it. kernel/tools/KEY is a small root file system with source and compiler; kernel/debug/KEY is what was built, by
# source version and configuration. Both are complete or not there.

lab_kernel_source=linux-source-7.2
lab_kernel_tools=gcc,make,bc,bison,flex,libelf-dev,libssl-dev,kmod,cpio,xz-utils,perl-base,python3-minimal,iproute2
# So many files are compiled, roughly: for the progress.
lab_kernel_files=1700

kernel_tools_dir() {
  printf '%s/kernel/tools/%s' "$LAB_CACHE" "$({
    echo "$lab_kernel_source $lab_kernel_tools"
    cat "$LAB_DIR/lib/rootfs-command.sh"
    declare -f kernel_tools_command
  } | sha256sum | cut -c1-12)"
}

# debug_kernel_dir: fails when there is no source yet.
debug_kernel_dir() {
  local version
  version=$(cat "$(kernel_tools_dir)/etc/peermr-lab/source-version" 2>/dev/null) || return
  printf '%s/kernel/debug/%s' "$LAB_CACHE" \
    "$( (echo "$version" && cat "$LAB_DIR/kernel/debug.config" "$LAB_DIR/kernel/build.sh") | sha256sum | cut -c1-12)"
}

# use_kernel NAME: stock or debug. For debug, sets LAB_DEBUG_KERNEL, its directory, LAB_DEBUG_RELEASE, and LAB_KERNEL_TOOLS.
# Without it guests run the stock kernel and everything of these is empty. LAB_TIME_SCALE is how much longer tests may take.
LAB_DEBUG_KERNEL=
LAB_TIME_SCALE=1
use_kernel() {
  [[ $1 == debug ]] || return 0
  LAB_KERNEL_TOOLS=$(kernel_tools_dir)
  LAB_DEBUG_KERNEL=$(debug_kernel_dir) || true
  [[ -n $LAB_DEBUG_KERNEL && -e $LAB_DEBUG_KERNEL ]] ||
    die "the debug kernel has not been built, or not with this configuration: $LAB_COMMAND_LINE kernel --debug" \
      "that takes half an hour on two cores"
  exec {lab_kernel_lock}>>"$LAB_DEBUG_KERNEL.lock"
  flock -s "$lab_kernel_lock"
  LAB_DEBUG_RELEASE=$(<"$LAB_DEBUG_KERNEL/release")
  LAB_TIME_SCALE=4
}

need_kernel() { [[ $1 =~ ^(stock|debug)$ ]] || usage_error "no kernel '$1'; there are: stock debug"; }

command_kernel() {
  local debug=0 refresh=0
  while (($#)); do
    case $1 in
      --debug) debug=1 ;;
      --refresh) refresh=1 ;;
      *) usage_error "kernel: unknown argument '$1'" ;;
    esac
    shift
  done
  ((debug)) || usage_error "kernel: say --debug; the stock kernel comes with setup"
  begin
  mkdir -p "$LAB_CACHE/kernel/tools" "$LAB_CACHE/kernel/debug"
  take_lock 8 "$LAB_CACHE/kernel.lock" -x "another run is building a kernel"
  ensure_kernel_tools "$refresh"
  LAB_DEBUG_KERNEL=$(debug_kernel_dir)
  [[ -e $LAB_DEBUG_KERNEL ]] || build_debug_kernel
  drop_lock 8
  say "the debug kernel is ready: $(<"$LAB_DEBUG_KERNEL/release")"
  note "$LAB_COMMAND_LINE test --kernel debug"
}

# ensure_kernel_tools REFRESH: sets LAB_KERNEL_TOOLS.
ensure_kernel_tools() {
  local mirror
  LAB_KERNEL_TOOLS=$(kernel_tools_dir)
  [[ ! -e $LAB_KERNEL_TOOLS || $1 == 1 ]] || return 0
  rm -rf --one-file-system -- "$LAB_CACHE"/kernel/tools/*.part
  require_space $((4 * 1024 * 1024))
  say "fetching the kernel's source and what builds it, into $LAB_KERNEL_TOOLS"
  note "about 300 MB to download, 2.1 GB on disk, 2 minutes"
  install_host_packages
  mirror=$(find_mirror)
  doom "$LAB_KERNEL_TOOLS.part"
  apt_settings "$mirror" >"$LAB_LOGS/apt.conf"
  kernel_tools_command "$mirror" "$LAB_KERNEL_TOOLS.part"
  step kernel-tools "installing packages from $mirror" in_namespaces "${tools_command[@]}"
  take_lock 7 "$LAB_KERNEL_TOOLS.lock" -x "other runs use the source that is to be replaced"
  replace_dir "$LAB_KERNEL_TOOLS"
  drop_lock 7
  spare "$LAB_KERNEL_TOOLS.part"
}

# kernel_tools_command MIRROR DIR: sets tools_command.
kernel_tools_command() {
  local mirror=$1 dir=$2 source=$lab_kernel_source
  tools_command=(
    mmdebstrap --mode=root --variant=minbase --architectures=amd64 --include="$lab_kernel_tools,$source"
    --aptopt="$LAB_LOGS/apt.conf"
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-exclude=/usr/share/man/*'
    --setup-hook="sh '$LAB_DIR/lib/rootfs-kernel.sh' pin \"\$1\" $lab_suite"
    --customize-hook="mkdir -p \"\$1/usr/src/linux\" \"\$1/etc/peermr-lab\""
    --customize-hook="tar -xf \"\$1/usr/src/$source.tar.xz\" --strip-components=1 -C \"\$1/usr/src/linux\""
    --customize-hook="rm \"\$1/usr/src/$source.tar.xz\""
    --customize-hook="chroot \"\$1\" dpkg-query -W -f '\${Version}' $source >\"\$1/etc/peermr-lab/source-version\""
    "$lab_suite" "$dir"
    "deb $mirror $lab_suite main" "deb $mirror $lab_suite-backports main"
  )
}

# What was compiled stays when a build fails or is interrupted: the next one goes on from there.
build_debug_kernel() {
  local part=$LAB_DEBUG_KERNEL.part log
  require_space $((1024 * 1024))
  say "building the debug kernel, $(<"$LAB_KERNEL_TOOLS/etc/peermr-lab/source-version"), in $LAB_DEBUG_KERNEL"
  note "about half an hour on two idle cores, at low priority; 0.3 GB on disk"
  [[ -e $part ]] || begin_with_another "$part"
  mkdir -p "$part"
  step kernel-configure "configuring" kernel_step configure "$part"
  log=$LAB_LOGS/kernel-compile.log
  show_progress "$log" &
  lab_children+=("$!")
  step kernel-compile "compiling; the log is $log" kernel_step compile "$part"
  kill_child "${lab_children[-1]}"
  step kernel-install "installing its modules" kernel_step install "$part"
  rm -rf --one-file-system -- "$LAB_DEBUG_KERNEL"
  mv "$part" "$LAB_DEBUG_KERNEL"
  remove_old_kernels
}

# begin_with_another PART: with another configuration or source, much will be the same. What another build left unfinished is
# of no other use; of what is finished it is a copy.
begin_with_another() {
  local other
  other=$(find "$LAB_CACHE/kernel/debug" -mindepth 1 -maxdepth 1 -name '*.part' | head -n 1)
  if [[ -n $other ]]; then
    mv "$other" "$1"
    return
  fi
  other=$(built_kernels | head -n 1)
  [[ -n $other ]] || return 0
  note "beginning with a copy of ${other##*/}"
  child cp -a "$other" "$1" || die "cannot copy $other"
  rm -f "$1/release"
}

# built_kernels: their directories, newest first.
built_kernels() {
  find "$LAB_CACHE/kernel/debug" -mindepth 2 -maxdepth 2 -name release ! -path '*.part/*' -printf '%T@ %h\n' | sort -rn |
    sed 's/^[^ ]* //'
}

# kernel_step STEP DIR: a step of kernel/build.sh, at low priority.
kernel_step() {
  LAB_ROOTFS=$LAB_KERNEL_TOOLS
  renice -n 15 "$BASHPID" >/dev/null || true
  in_rootfs "$LAB_DIR/kernel" /run/kernel/lab ro "$LAB_KERNEL_TOOLS/usr/src/linux" /run/kernel/source ro \
    "$2" /run/kernel/build rw -- bash /run/kernel/lab/build.sh "$1"
}

show_progress() {
  trap - EXIT
  while setpriv --pdeathsig KILL sleep 60; do
    touch "$LAB_LOGS" # or other runs, many in that time, would take it for old
    note "$(grep -c '^  CC ' "$1") of about $lab_kernel_files files compiled"
  done
}

# Kernels of other configurations are kept as long as there are few of them: they take long to make.
remove_old_kernels() {
  local dir
  built_kernels | tail -n +4 | while read -r dir; do remove_if_unused "$dir"; done
}

# in_kernel_build CMD...: as in_build, with the debug kernel's source and build tree where they were when it was built.
in_kernel_build() {
  in_rootfs "$LAB_SOURCE" /src ro "$LAB_BUILD" /build rw "$LAB_KERNEL_TOOLS/usr/src/linux" /run/kernel/source ro \
    "$LAB_DEBUG_KERNEL" /run/kernel/build ro -- "$@"
}

# show_debug_kernel: its line for lab/run versions, if there is one.
show_debug_kernel() {
  local dir
  dir=$(debug_kernel_dir) && [[ -e $dir ]] || return 0
  printf '%-18s %-26s %-26s\n' "debug kernel" "" "$(<"$dir/release"), from $(<"$(kernel_tools_dir)/etc/peermr-lab/source-version")"
}
