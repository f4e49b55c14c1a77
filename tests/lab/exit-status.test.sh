# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The exit status of a guest's command arrives, output included, and a guest that fails is never taken for one that works.
set -uo pipefail
failed=0

# expect STATUS PATTERN OPTIONS... -- COMMAND: in a guest; PATTERN must match what is printed.
expect() {
  local wanted=$1 pattern=$2 out status=0
  shift 2
  out=$("$LAB_RUN" exec --no-build "$@" 2>&1) || status=$?
  if [[ $status != "$wanted" || ! $out =~ $pattern ]]; then
    printf 'exec %s\n  status %s, expected %s; output, expected to match "%s":\n%s\n' "$*" "$status" "$wanted" "$pattern" "$out"
    failed=1
  fi
}

expect 0 'hello "you"' -- echo 'hello "you"'
expect 1 '' -- false
expect 42 '' -- bash -c 'exit 42'
# More than the exit device can carry.
expect 200 '' -- bash -c 'exit 200'
# Nothing of a lot of output is lost at the end.
expect 0 $'\n200000$' -- seq 200000
expect 125 'kernel panicked' -- bash -c 'echo c >/proc/sysrq-trigger; sleep 60'
expect 125 'died' -- bash -c 'echo b >/proc/sysrq-trigger; sleep 60'
# Success is not believed of a guest whose kernel found a bug.
expect 125 'kernel reported a bug' -- bash -c 'echo "<4>WARNING: made up" >/dev/kmsg; exit 0'
expect 125 'time limit' --timeout 20 -- sleep 1000
exit "$failed"
