#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Stock ibv_devinfo sees both NICs, with active ports and different addresses: devinfo.sh RUNNER…
# RUNNER runs the programs: peermr-native, or env where the NICs are the system's.
set -eu
command -v ibv_devinfo >/dev/null || { echo "skip: no ibv_devinfo (package ibverbs-utils)"; exit 77; }
out=$("$@" ibv_devinfo -v)
printf '%s\n' "$out"
expect() { # expect COUNT REGEX
	count=$(printf '%s\n' "$out" | grep -c -E "$2") || true
	[ "$count" -eq "$1" ] || { echo "FAIL: $count lines match '$2', not $1"; exit 1; }
}
expect 1 'hca_id:[[:space:]]*pnic0$'
expect 1 'hca_id:[[:space:]]*pnic1$'
expect 2 'transport:[[:space:]]*InfiniBand'
expect 2 'vendor_id:[[:space:]]*0x1234$'
expect 2 'vendor_part_id:[[:space:]]*20558$'
expect 2 'state:[[:space:]]*PORT_ACTIVE'
expect 1 'port_lid:[[:space:]]*1$'
expect 1 'port_lid:[[:space:]]*2$'
expect 2 'link_layer:[[:space:]]*InfiniBand$'
expect 2 'GID\[  0\]:[[:space:]]*fe80:'
expect 2 'completion timestamp_mask:[[:space:]]*0xffffffffffffffff$'
