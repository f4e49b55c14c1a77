#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a stock client-server program of verbs, the server on SERVER_NIC (default pnic0) and the
# client on CLIENT_NIC (pnic1): pair.sh TITLE PROGRAM OPTIONS…
# Prints the output of both. Exit status 1 when one of them fails.
set -u
server_nic=${SERVER_NIC:-pnic0}
client_nic=${CLIENT_NIC:-pnic1}
title="$1, $server_nic and $client_nic"
shift
server_log=$(mktemp)
trap 'rm -f "$server_log"' EXIT
"$@" -d "$server_nic" >"$server_log" 2>&1 &
server=$!
# The client exits when nobody listens: try until the server does.
tries=0
while :; do
	client_log=$("$@" -d "$client_nic" 127.0.0.1 2>&1)
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
