# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The lab's root file system: made once for each package list, kept in the cache, never written to afterwards.

lab_suite=trixie

rootfs_key() {
  cat "$LAB_DIR/packages" "$LAB_DIR/lib/rootfs.sh" "$LAB_DIR/lib/rootfs-kernel.sh" "$LAB_DIR/lib/rootfs-source.sh" |
    sha256sum | cut -c1-12
}

# ensure_rootfs [REFRESH]: sets LAB_ROOTFS and LAB_KERNEL; builds when there is none yet, or when REFRESH is 1.
ensure_rootfs() {
  local refresh=${1:-0}
  LAB_ROOTFS=$LAB_CACHE/rootfs/$(rootfs_key)
  if [[ ! -e $LAB_ROOTFS || $refresh == 1 ]]; then
    take_lock 8 "$LAB_CACHE/setup.lock" -x "another run is setting up the lab"
    [[ -e $LAB_ROOTFS && $refresh != 1 ]] || build_rootfs
    drop_lock 8
  fi
  take_lock 7 "$LAB_ROOTFS.lock" -s "another run is replacing the root file system"
  LAB_KERNEL=$(<"$LAB_ROOTFS/etc/peermr-lab/kernel")
}

build_rootfs() {
  local mirror
  mkdir -p "$LAB_CACHE/rootfs"
  # Nobody else builds now, so other half-made ones come from a run that was killed.
  rm -rf --one-file-system -- "$LAB_CACHE"/rootfs/*.part
  require_space $((4 * 1024 * 1024))
  say "setting up the lab: Debian $lab_suite with a kernel from $lab_suite-backports, in $LAB_ROOTFS"
  note "about 600 MB to download, 1.4 GB on disk, 2 minutes; '$LAB_COMMAND_LINE clean' removes all of it"
  install_host_packages
  mirror=$(find_mirror)
  doom "$LAB_ROOTFS.part"
  apt_settings "$mirror" >"$LAB_LOGS/apt.conf"
  set_rootfs_command "$mirror" "$LAB_ROOTFS.part"
  step rootfs "installing packages from $mirror" in_namespaces "${rootfs_command[@]}"
  replace_rootfs
  spare "$LAB_ROOTFS.part"
}

# set_rootfs_command MIRROR DIR: sets rootfs_command.
set_rootfs_command() {
  local mirror=$1 dir=$2 hooks=$LAB_DIR/lib packages
  packages=$(grep -v '^#' "$LAB_DIR/packages" | xargs | tr ' ' ,)
  rootfs_command=(
    mmdebstrap --mode=root --variant=minbase --architectures=amd64 --include="$packages"
    --aptopt="$LAB_LOGS/apt.conf"
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-exclude=/usr/share/man/*'
    --setup-hook="sh '$hooks/rootfs-kernel.sh' pin \"\$1\" $lab_suite"
    --customize-hook="sh '$hooks/rootfs-kernel.sh' install \"\$1\""
    --customize-hook="sh '$hooks/rootfs-source.sh' \"\$1\""
    "$lab_suite" "$dir"
    "deb $mirror $lab_suite main" "deb $mirror $lab_suite-backports main"
    "deb-src $mirror $lab_suite main" "deb-src $mirror $lab_suite-backports main"
  )
}

# replace_rootfs: the new one takes its place; those of other package lists go, unless a run still uses them.
replace_rootfs() {
  local dir
  [[ ! -e $LAB_ROOTFS ]] || mv "$LAB_ROOTFS" "$LAB_ROOTFS.old.part"
  mv "$LAB_ROOTFS.part" "$LAB_ROOTFS"
  rm -rf --one-file-system -- "$LAB_ROOTFS.old.part"
  for dir in "$LAB_CACHE"/rootfs/????????????; do
    [[ $dir == "$LAB_ROOTFS" ]] || (
      flock -n -x 9 || exit 0
      rm -rf --one-file-system -- "$dir"
    ) 9>"$dir.lock"
  done
}
