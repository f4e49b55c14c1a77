#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Stock perftest: each program finishes and reports a figure above zero.
# perftest.sh RUNNER…; see devinfo.sh and, for the NICs, pair.sh.
set -eu
here=$(dirname "$0")
command -v ib_write_bw >/dev/null || { echo "skip: no ib_write_bw (package perftest)"; exit 77; }
port=$((20000 + $$ % 20000))

run() { # run PROGRAM OPTIONS…
	port=$((port + 1))
	"$runner" "$here/pair.sh" "$*" "$@" -F -p $port
}

# The line of figures: size, iterations, figures. The fourth is the average bandwidth or a latency.
has_figure() { # has_figure SIZE
	awk -v size="$1" '$1 == size && $4 + 0 > 0 { ok = 1 } END { exit !ok }'
}

runner=$1
for test in 'ib_write_bw -s 65536 -n 50' 'ib_read_bw -s 65536 -n 50' 'ib_send_bw -s 65536 -n 50' \
	'ib_send_bw -s 65536 -n 50 -e' 'ib_read_lat -s 8 -n 200' 'ib_write_lat -s 8 -n 10'; do
	size=$(echo "$test" | sed 's/.*-s \([0-9]*\).*/\1/')
	# The clock that perftest reads is sometimes too coarse for so short a run, and it prints 0.00.
	for attempt in 1 2 3; do
		# shellcheck disable=SC2086
		out=$(run $test) || {
			printf '%s\n' "$out"
			exit 1
		}
		if printf '%s\n' "$out" | has_figure "$size"; then break; fi
		[ "$attempt" -lt 3 ] || {
			printf '%s\n' "$out"
			echo "FAIL: $test: no figure above zero in three attempts"
			exit 1
		}
	done
	printf '%s\n' "$out"
done
