#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A program that says nothing of it when its device fails must not pass for a success: pnicd_fails.sh PEERMR-NATIVE PNICD
set -u
native=$1
pnicd=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same pnicd, whose process the program finds.
cat >"$work/pnicd" <<END
#!/bin/sh
echo \$\$ >"$work/pid"
exec "$pnicd" "\$@"
END
chmod +x "$work/pnicd"

run() { # run STATUS SCRIPT
	"$native" --pnicd "$work/pnicd" sh -c "$2" 2>"$work/errors"
	status=$?
	[ "$status" -eq "$1" ] && return
	cat "$work/errors"
	echo "FAIL: '$2' ends with $status, not $1"
	exit 1
}

run 0 true
run 3 'exit 3'
run 125 "kill -KILL \$(cat $work/pid)"
grep -q 'pnicd ended by signal 9' "$work/errors" || { cat "$work/errors"; echo "FAIL: nothing is said of pnicd"; exit 1; }
run 3 "kill -KILL \$(cat $work/pid); exit 3"
