# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# How the root file system is made. A change here, in the hooks or in the package list makes it anew.

lab_suite=trixie

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
