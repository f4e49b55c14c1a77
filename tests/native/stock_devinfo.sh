#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Stock ibv_devinfo sees both NICs, with active ports and different addresses.
set -eu
command -v ibv_devinfo >/dev/null || { echo "skip: no ibv_devinfo (package ibverbs-utils)"; exit 77; }
out=$("$1" ibv_devinfo -v)
printf '%s\n' "$out"
expect() {
	count=$(printf '%s\n' "$out" | grep -c -E "$2") || true
	[ "$count" -eq "$1" ] || { echo "FAIL: $count lines match '$2', not $1"; exit 1; }
}
expect 1 'hca_id:[[:space:]]*pnic0$'
expect 1 'hca_id:[[:space:]]*pnic1$'
expect 2 'state:[[:space:]]*PORT_ACTIVE'
expect 1 'port_lid:[[:space:]]*1$'
expect 1 'port_lid:[[:space:]]*2$'
expect 2 'link_layer:[[:space:]]*InfiniBand$'
expect 2 'GID\[  0\]:[[:space:]]*fe80:'
