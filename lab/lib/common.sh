# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Messages, steps with their time and log, and the end of everything that was started.

lab_start=${EPOCHREALTIME/[.,]/}
lab_children=()
lab_doomed=()

now_us() { echo "${EPOCHREALTIME/[.,]/}"; }

# elapsed [SINCE]: seconds, one digit, since SINCE (a now_us), by default since we began.
elapsed() {
  local us=$((${EPOCHREALTIME/[.,]/} - ${1:-$lab_start}))
  printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# All of the lab's own messages go to stderr: stdout belongs to what it runs.
say() { [[ -n ${LAB_QUIET:-} ]] || printf '[%6.1f s] %s\n' "$(elapsed)" "$*" >&2; }
note() { [[ -n ${LAB_QUIET:-} ]] || printf '           %s\n' "$*" >&2; }
warn() { printf 'lab: warning: %s\n' "$*" >&2; }
die() {
  printf 'lab: error: %s\n' "$1" >&2
  shift
  (($#)) && printf '     %s\n' "$@" >&2
  exit 1
}

# usage_error MESSAGE: wrong command line, with the way to the right one.
usage_error() {
  printf 'lab: %s\nTry: %s --help\n' "$1" "${LAB_COMMAND_LINE:-lab/run}" >&2
  exit 2
}

# child CMD...: runs CMD so that a signal to us ends it at once. bash runs traps only between commands, so CMD is a
# background job that is waited for; fd 3 is our stdin, which background jobs would otherwise lose.
child() {
  local status=0
  "$@" <&3 &
  local pid=$!
  lab_children+=("$pid")
  wait "$pid" || status=$?
  forget_child "$pid"
  return "$status"
}

forget_child() {
  local pid left=()
  for pid in "${lab_children[@]}"; do
    [[ $pid == "$1" ]] || left+=("$pid")
  done
  lab_children=("${left[@]}")
}

# kill_child PID: ends a child that we started, and everything in its process namespace with it.
kill_child() {
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  forget_child "$1"
}

# doom PATH: PATH is half-made; it is removed at our end unless spare PATH was called before.
doom() { lab_doomed+=("$1"); }
spare() {
  local path left=()
  for path in "${lab_doomed[@]}"; do
    [[ $path == "$1" ]] || left+=("$path")
  done
  lab_doomed=("${left[@]}")
}

on_exit() {
  local status=$? pid path
  trap '' INT TERM HUP
  for pid in "${lab_children[@]}"; do
    kill_child "$pid"
  done
  for path in "${lab_doomed[@]}"; do
    rm -rf --one-file-system -- "$path"
  done
  [[ -z ${LAB_TTY_STATE:-} ]] || stty "$LAB_TTY_STATE" <&3
  exit "$status"
}

catch_signals() {
  # What we run reads from 3 or 5 and writes to 4.
  exec 3<&0 4>&1 5</dev/null
  # Wherever stderr points to when the signal comes.
  exec {lab_stderr}>&2
  trap on_exit EXIT
  trap 'exec 2>&"$lab_stderr"; echo >&2; say "interrupted, cleaning up"; exit 130' INT
  trap 'exec 2>&"$lab_stderr"; say "terminated, cleaning up"; exit 143' TERM HUP
}

# step NAME TITLE CMD...: a line, CMD with its output in the log NAME.log, and on failure the log's end.
step() {
  local log=$LAB_LOGS/$1.log title=$2 status=0 since
  shift 2
  since=$(now_us)
  say "$title"
  child "$@" >"$log" 2>&1 || status=$?
  if ((status)); then
    tail -n 25 "$log" | sed 's/^/  | /' >&2
    die "$title: failed with status $status after $(elapsed "$since") s" "whole log: $log"
  fi
  (($(now_us) - since < 2000000)) || note "done in $(elapsed "$since") s"
}

# take_lock FD FILE MODE WHAT: waits for a lock on FILE (MODE -x or -s), and says so if it has to.
take_lock() {
  local fd=$1 file=$2 mode=$3 what=$4
  eval "exec $fd>>\"\$file\""
  flock -n "$mode" "$fd" && return
  say "waiting: $what"
  child setpriv --pdeathsig KILL flock "$mode" "$fd"
}
drop_lock() { eval "exec $1>&-"; }

# need_value OPTION COUNT: an option that wants a value must have one.
need_value() { (($2 >= 2)) || usage_error "$1 needs a value"; }
