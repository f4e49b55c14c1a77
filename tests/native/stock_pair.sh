#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a stock client-server program between pnic0 and pnic1: stock_pair.sh TITLE PROGRAM OPTIONS…
# Inside peermr-native. Output of both, exit status of the first that failed.
set -u
title=$1
shift
server_log=$(mktemp)
trap 'rm -f "$server_log"' EXIT
"$@" -d pnic0 >"$server_log" 2>&1 &
server=$!
# The client exits when nobody listens: try until the server does.
tries=0
while :; do
	client_log=$("$@" -d pnic1 127.0.0.1 2>&1)
	client=$?
	[ "$client" -eq 0 ] && break
	tries=$((tries + 1))
	if [ "$tries" -ge 50 ] || ! kill -0 "$server" 2>/dev/null; then break; fi
	sleep 0.1
done
if [ "$client" -ne 0 ]; then kill "$server" 2>/dev/null; fi
wait "$server"
server=$?
echo "== $title: client"
printf '%s\n' "$client_log"
echo "== $title: server"
cat "$server_log"
[ "$client" -eq 0 ] || { echo "FAIL: $title: client exits with $client"; exit 1; }
[ "$server" -eq 0 ] || { echo "FAIL: $title: server exits with $server"; exit 1; }
