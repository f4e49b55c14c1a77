#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Stock ibv_rc_pingpong: both post APIs, polled and by events, with timestamps and checked data.
# pingpong.sh RUNNER…; see devinfo.sh and, for the NICs, pair.sh.
set -eu
here=$(dirname "$0")
command -v ibv_rc_pingpong >/dev/null || {
	echo "skip: no ibv_rc_pingpong (package ibverbs-utils)"
	exit 77
}
port=$((20000 + $$ % 20000))
# Polling processes and pnicd share the processors: few rounds where both poll.
for options in '-n 20' '-n 20 -N' '-n 500 -e' '-n 500 -e -N' '-n 50 -e -c' '-n 10 -s 1000000 -e -c' \
	'-n 20 -t'; do
	port=$((port + 1))
	rounds=$(echo "$options" | sed 's/-n \([0-9]*\).*/\1/')
	# shellcheck disable=SC2086
	out=$("$@" "$here/pair.sh" "pingpong $options" ibv_rc_pingpong -p $port $options) || {
		printf '%s\n' "$out"
		exit 1
	}
	printf '%s\n' "$out"
	count=$(printf '%s\n' "$out" | grep -c "^$rounds iters in") || true
	[ "$count" -eq 2 ] || { echo "FAIL: pingpong $options: $count sides finished"; exit 1; }
	if printf '%s\n' "$out" | grep -q 'invalid data'; then
		echo "FAIL: pingpong $options: wrong data"
		exit 1
	fi
done
