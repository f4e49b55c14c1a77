#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Every block of the README that says which example it is must be that file, its licence line apart.
set -euo pipefail
cd "$1"
status=0
found=0
while read -r file; do
  found=$((found + 1))
  block=$(awk -v mark="<!-- example: $file -->" '
    $0 == mark { wanted = 1; next }
    wanted && /^```cpp$/ { inside = 1; next }
    inside && /^```$/ { exit }
    inside' README.md)
  if ! diff <(printf '%s\n' "$block") <(tail -n +2 "$file"); then
    echo "README.md's example is not $file: copy the file into the block"
    status=1
  fi
done < <(sed -n 's/^<!-- example: \(.*\) -->$/\1/p' README.md)
[[ $found -gt 0 ]] || { echo "README.md marks no example"; exit 1; }
exit "$status"
