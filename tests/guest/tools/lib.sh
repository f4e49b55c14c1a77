# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the tests of peermr export, watch, revoke, rearm and query share. Sourced first, in an empty folder.
set -uo pipefail
# shellcheck source=/dev/null
. /etc/lab.env
# shellcheck source=/dev/null
. /src/tests/guest/lib/devices.sh

owner=
watcher=
trap 'end_export; [[ -z $watcher ]] || kill "$watcher"' EXIT

fail() {
  echo "FAILED: $*"
  for file in export.out watch.out out; do
    [[ ! -s $file ]] || { echo "--- $file"; cat "$file"; }
  done
  exit 1
}

# eventually COMMAND...: until it succeeds, at most 10 s.
eventually() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    ! "$@" || return 0
    sleep 0.05
  done
  return 1
}

# start_export BDF ARGS...: peermr export, until its socket is there.
start_export() {
  peermr export "$@" --socket ./socket >export.out 2>&1 &
  owner=$!
  eventually grep -q "socket" export.out || fail "peermr export $*: it does not start"
}

# What it exits with when it is asked to end.
end_export() {
  [[ -n $owner ]] || return 0
  kill "$owner" 2>/dev/null
  wait "$owner"
  local status=$?
  owner=
  return "$status"
}

# start_watch ARGS...: peermr watch of the export, until it watches.
start_watch() {
  peermr watch ./socket --for "$LAB_NIC0" "$@" >watch.out 2>&1 &
  watcher=$!
  eventually grep -q "for $LAB_NIC0\|\"event\":\"watch\"" watch.out || fail "peermr watch does not start"
}

end_watch() {
  wait "$watcher"
  local status=$?
  watcher=
  return "$status"
}

# expect STATUS TEXT ARGS...: peermr ARGS ends with STATUS, and says TEXT (a regular expression).
expect() {
  local status=$1 text=$2 got
  shift 2
  timeout 20 peermr "$@" >out 2>&1
  got=$?
  [[ $got == "$status" ]] || fail "peermr $*: status $got, not $status"
  grep -Eq -- "$text" out || fail "peermr $*: it does not say '$text'"
}

reset_device() { echo 1 >"/sys/bus/pci/devices/$1/reset" || fail "$1: no reset"; }
