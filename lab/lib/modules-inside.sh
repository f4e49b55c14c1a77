# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Sourced by what builds kernel modules inside the lab's root file system.

# compile_modules TREE DIR WHAT: /src/kernel against the kernel build tree TREE, in DIR; WHAT says which kernel that is.
# Kbuild writes beside the sources: it works on a copy, made anew when a file came or went or the kernel is another one,
# and otherwise brought up to date, so that what did not change is not compiled again.
compile_modules() {
  local tree=$1 dir=$2 what=$3 list sum
  list=$(echo "$what" && cd /src/kernel && find . -type f | sort)
  sum=$(echo "$what" && cd /src/kernel && find . -type f -print0 | sort -z | xargs -0 sha256sum)
  [[ $sum != "$(cat "$dir.sum" 2>/dev/null)" || ! -d $dir ]] || return 0
  if [[ $list != "$(sed '1!s/^.\{66\}//' "$dir.sum" 2>/dev/null)" || ! -d $dir ]]; then
    rm -rf "$dir"
  fi
  rm -f "$dir.sum"
  cp -a -u -T /src/kernel "$dir"
  make -C "$tree" M="$dir" -j"$(nproc)" W=1 modules
  echo "$sum" >"$dir.sum"
}
