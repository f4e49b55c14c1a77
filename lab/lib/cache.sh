# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What is kept between runs: directories that are complete or not there. Each has a lock beside it, DIR.lock, which its
# users share and which is never removed.

# replace_dir DIR: DIR.part takes the place of DIR; siblings that nobody uses go.
replace_dir() {
  local dir
  [[ ! -e $1 ]] || mv "$1" "$1.old.part"
  mv "$1.part" "$1"
  rm -rf --one-file-system -- "$1.old.part"
  for dir in "${1%/*}"/????????????*/; do
    dir=${dir%/}
    [[ $dir == "$1" || $dir == *.part ]] || remove_if_unused "$dir"
  done
}

remove_if_unused() {
  (
    flock -n -x 8 || exit 0
    rm -rf --one-file-system -- "$1"
  ) 8>"$1.lock"
}
