# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The lab's root file system: made once for each package list, kept in the cache, never written to afterwards.

rootfs_key() {
  cat "$LAB_DIR/packages" "$LAB_DIR/lib/rootfs-command.sh" "$LAB_DIR/lib/rootfs-kernel.sh" "$LAB_DIR/lib/rootfs-source.sh" |
    sha256sum | cut -c1-12
}

# ensure_rootfs [REFRESH]: sets LAB_ROOTFS and LAB_KERNEL; builds when there is none yet, or when REFRESH is 1.
# shellcheck disable=SC2120 # most callers want no refresh
ensure_rootfs() {
  local refresh=${1:-0}
  LAB_ROOTFS=$LAB_CACHE/rootfs/$(rootfs_key)
  if [[ ! -e $LAB_ROOTFS || $refresh == 1 ]]; then
    take_lock 8 "$LAB_CACHE/setup.lock" -x "another run is setting up the lab"
    [[ -e $LAB_ROOTFS && $refresh != 1 ]] || build_rootfs
    drop_lock 8
  fi
  take_lock 7 "$LAB_ROOTFS.lock" -s "another run is replacing the root file system"
  if [[ ! -e $LAB_ROOTFS ]]; then
    # It went between our look and our lock.
    drop_lock 7
    ensure_rootfs 0
    return
  fi
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
  take_lock 7 "$LAB_ROOTFS.lock" -x "other runs use the root file system that is to be replaced"
  replace_dir "$LAB_ROOTFS"
  drop_lock 7
  spare "$LAB_ROOTFS.part"
}
