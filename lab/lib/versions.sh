# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab/run versions: tested against found.

found_version() {
  if [[ $1 == kernel ]]; then
    echo "$LAB_KERNEL"
  else
    sed -n "s/^$1 //p" "$LAB_ROOTFS/etc/peermr-lab/packages"
  fi
}

show_versions() {
  local name tested found
  printf '%-18s %-26s %-26s\n' "" "tested with" "found"
  while read -r name tested; do
    found=$(found_version "$name")
    printf '%-18s %-26s %-26s%s\n' "$name" "$tested" "${found:-missing}" \
      "$([[ $found == "$tested" ]] || echo ' (differs)')"
  done < <(grep -v '^#' "$LAB_DIR/versions")
  show_debug_kernel
}

# note_versions: one line, in front of results.
note_versions() {
  local name tested found differs=
  while read -r name tested; do
    found=$(found_version "$name")
    [[ $found == "$tested" ]] || differs+=" $name $found (tested: $tested)"
  done < <(grep -v '^#' "$LAB_DIR/versions")
  if [[ -n $differs ]]; then
    note "other versions than those tested with:$differs"
  else
    note "kernel $LAB_KERNEL, $(found_version qemu-system-x86 | sed 's/^[0-9]*:/QEMU /;s/+.*//'), as tested"
  fi
  [[ -z $LAB_DEBUG_KERNEL ]] || note "guests run the debug kernel, $LAB_DEBUG_RELEASE"
}
