#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# tests.sh DIR: runs the tests out of DIR that /share/tests names ("FILE TIMEOUT" a line), in the guest, and says in
# /share/progress what happens:
#   start FILE
#   end FILE STATUS TENTHS-OF-A-SECOND
# The host reads along (lib/test-guest.sh has the contract). After a test that had to be killed the guest is not worth
# much: the rest is left to a new one.
set -uo pipefail
mkdir -p /share/out

while read -r file timeout <&5; do
  echo "start $file" >>/share/progress
  begin=${EPOCHREALTIME/./}
  status=0
  dir=$(mktemp -d)
  (cd "$dir" && exec timeout -k 5 "$timeout" bash "$1/$file") >"/share/out/$file.log" 2>&1 || status=$?
  rm -rf "$dir"
  echo "end $file $status $(((${EPOCHREALTIME/./} - begin) / 100000))" >>/share/progress
  ((status != 124 && status != 137)) || exit 0
done 5</share/tests
