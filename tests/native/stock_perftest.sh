#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Stock perftest between the NICs: each program finishes and reports a figure above zero.
set -eu
native=$1
here=$(dirname "$0")
command -v ib_write_bw >/dev/null || { echo "skip: no ib_write_bw (package perftest)"; exit 77; }
port=$((20000 + $$ % 20000))
for test in 'ib_write_bw -s 65536 -n 50' 'ib_read_bw -s 65536 -n 50' 'ib_send_bw -s 65536 -n 50 -e' \
	'ib_read_lat -s 8 -n 200' 'ib_write_lat -s 8 -n 10'; do
	port=$((port + 1))
	size=$(echo "$test" | sed 's/.*-s \([0-9]*\).*/\1/')
	# shellcheck disable=SC2086
	out=$("$native" "$here/stock_pair.sh" "$test" $test -F -p $port) || {
		printf '%s\n' "$out"
		exit 1
	}
	printf '%s\n' "$out"
	# size, iterations, then figures: the last of bandwidth or the typical latency.
	printf '%s\n' "$out" | awk -v size="$size" '$1 == size && $4 + 0 > 0 { ok = 1 } END { exit !ok }' || {
		echo "FAIL: $test: no figure above zero"
		exit 1
	}
done
