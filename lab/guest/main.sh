#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The guest's life after the root is there: prepare, run the job /share/job, report its status, off.

# On the debug kernel: what nothing refers to any more has leaked. An object must be some seconds old to count, and one scan
# can miss what moves meanwhile, so only what two scans found is told. The host fails the run on a BUG in the log.
find_leaks() {
  local leaks=/sys/kernel/debug/kmemleak count
  [[ -e $leaks ]] || return 0
  sleep 6
  echo scan >"$leaks"
  [[ -s $leaks ]] || return 0
  sleep 6
  echo scan >"$leaks"
  cat "$leaks" >/share/leaks
  count=$(grep -c '^unreferenced object' /share/leaks) || return 0
  echo "<3>BUG: kmemleak: $count objects leaked" >/dev/kmsg
}

# finish STATUS: the status goes to a file and through the exit device, and the host believes it only if both agree.
finish() {
  find_leaks
  dmesg >/share/dmesg 2>/dev/null
  echo "$1" >/share/status
  sync
  # The device adds nothing of its own: QEMU exits with 2 v + 1, of which eight bits survive.
  # shellcheck disable=SC2059
  printf "\\$(printf %o $(($1 & 127)))" | dd of=/dev/port bs=1 seek=244 status=none
  echo "lab: the exit device did not work" >/dev/console
  poweroff -f
}

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
exec </dev/null >/dev/hvc0 2>&1
stty -onlcr -echo <&1

bash /src/lab/guest/prepare.sh >/share/prepare.log 2>&1 || {
  echo "lab: preparing the guest failed:"
  cat /share/prepare.log
  finish 125
}
set -a
# shellcheck source=/dev/null
. /etc/lab.env
set +a

if [[ -e /share/interactive ]]; then
  # A terminal of its own for job control.
  read -r rows columns TERM </share/interactive
  export TERM
  stty sane rows "$rows" cols "$columns" <&1
  setsid --ctty --wait bash /share/job </dev/hvc0
else
  bash /share/job
fi
finish $?
