#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# command_line.sh PEERMR: what the command says to a bad command line, on any machine and without devices.
set -uo pipefail
peermr=$1
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect STATUS TEXT ARGS...: exits with STATUS, and its output contains TEXT.
expect() {
  local status=$1 text=$2 got output
  shift 2
  output=$("$peermr" "$@" 2>&1)
  got=$?
  if [[ $got != "$status" || $output != *"$text"* ]]; then
    echo "FAILED: peermr $*: status $got, expected $status with \"$text\"; it said:"
    echo "$output"
    failures=$((failures + 1))
  fi
}

expect 0 'Exit status' --help
expect 0 'Exit status' bench --help
expect 0 '--json' bench report --help
expect 0 '--sysfs' topo --help
expect 0 '--probe' doctor --help
expect 0 'peermr ' --version
expect 2 'subcommand'
expect 2 'subcommand' nonsense
expect 2 '--nonsense' bench --nonsense
expect 2 'expected a number' bench --size 4Q
expect 2 'at least 1' bench --size 0
expect 2 'at least 1' bench --size 4Q --size 0
expect 2 'at most 1 GiB' bench --size 2G
expect 2 'write, read or send' bench --op writ
expect 2 'BDF:BAR' bench --target 0000:04:00.0
expect 2 '0 to 5' bench --target 0000:04:00.0:9:0+1M
expect 2 'the range is empty' bench --target 0000:04:00.0:4:0+0
expect 2 '--depth' bench --depth 0
expect 2 '--duration' bench --duration 0
expect 2 '--listen' bench --listen unix:/x --connect unix:/x
expect 2 'listening peer' bench --connect unix:/x --target host
expect 2 'files' bench report
expect 0 '--against' bench revoke --help
expect 2 '--target' bench revoke
expect 2 'name a BAR' bench revoke --target host
expect 2 'one device' bench revoke --target 0000:04:00.0:4:all --target 0000:05:00.0:4:all
expect 2 'at most 65536' bench revoke --target 0000:04:00.0:4:all --buffers 65537
expect 2 '--pairs' bench revoke --target 0000:04:00.0:4:all --pairs 0
expect 0 '--monitor' bench recover --help
expect 2 '--target' bench recover
expect 2 'name a BAR' bench recover --target host
expect 2 'plain, stable and fresh' bench recover --target 0000:04:00.0:4:all --keys stable,stale
expect 2 'at most 65536' bench recover --target 0000:04:00.0:4:all --regions 65537
expect 2 '--rounds' bench recover --target 0000:04:00.0:4:all --rounds 0
expect 0 '--revokes' bench events --help
expect 2 '--target' bench events
expect 2 'name a BAR' bench events --target host
expect 2 '--revokes' bench events --target 0000:04:00.0:4:all --revokes 0
expect 1 'No such file' bench report /nonexistent.json
expect 1 'such device' bench --device no-such-nic
expect 1 '/nonexistent' topo --sysfs /nonexistent
expect 2 'wxyz' doctor --probe wxyz

expect 0 '--manual-rearm' export --help
expect 0 '--count' watch --help
expect 0 '--revokes' rearm --help
expect 0 'Exit status' revoke --help
expect 0 'Exit status' query --help
share=(--bar 2 --range 0:1M --socket "$work/s")
expect 2 'wxyz' export wxyz "${share[@]}"
expect 2 '--bar' export 0000:7f:1f.7 --bar 6 --range 0:1M --socket "$work/s"
expect 2 '--range is required' export 0000:7f:1f.7 --bar 2 --socket "$work/s"
expect 2 'OFFSET:LENGTH' export 0000:7f:1f.7 --bar 2 --range 1M --socket "$work/s"
expect 2 'the range is empty' export 0000:7f:1f.7 --bar 2 --range 0:0 --socket "$work/s"
expect 1 'no such PCI device' export 0000:7f:1f.7 "${share[@]}"
expect 2 '--for' watch "$work/s"
expect 1 'neither an RDMA device' watch "$work/s" --for no-such-nic
expect 1 'is peermr export running' watch "$work/s" --for 0000:7f:1f.7
expect 1 'not a dma-buf' watch "$$/1" --for 0000:7f:1f.7
expect 2 '--count' watch "$work/s" --for 0000:7f:1f.7 --count 0
for command in query revoke rearm; do
  expect 2 'SOCKET is required' "$command"
  expect 1 'is peermr export running' "$command" "$work/s"
done
expect 1 'use socket' query ''
expect 1 'at most 107' query "$work/$(printf '%0200d' 0)"
expect 0 '--max-per-user' vend --help
expect 0 '--no-renew' borrow --help
vend=(--bar 2 --slice 64K --socket "$work/s")
expect 2 'wxyz' vend wxyz "${vend[@]}"
expect 2 '--slice is required' vend 0000:7f:1f.7 --bar 2 --socket "$work/s"
expect 2 'ms, s, m or h' vend 0000:7f:1f.7 "${vend[@]}" --lease 3d
expect 2 'ms, s, m or h' vend 0000:7f:1f.7 "${vend[@]}" --lease 0
expect 2 'octal' vend 0000:7f:1f.7 "${vend[@]}" --socket-mode rw
expect 2 'no such group' vend 0000:7f:1f.7 "${vend[@]}" --socket-group no-such-group
expect 2 'OFFSET:LENGTH' vend 0000:7f:1f.7 "${vend[@]}" --range 1M
expect 1 'no such PCI device' vend 0000:7f:1f.7 "${vend[@]}"
expect 2 '--socket is required' borrow
expect 2 'ms, s, m or h' borrow --socket "$work/s" --for 1y
expect 2 'expected a number' borrow --socket "$work/s" --bytes 1Q
expect 1 'is peermr vend running' borrow --socket "$work/s"
touch "$work/file"
expect 1 'Connection refused' query "$work/file"
[[ ! -e $work/s ]] || { echo "FAILED: a socket is left"; failures=$((failures + 1)); }

for text in '' '{' '[]' '{"schema": "peermr-bench/9"}' '{"schema": "peermr-bench/1", "rows": 3}'; do
  echo "$text" >"$work/bad.json"
  expect 1 'bad.json' bench report "$work/bad.json"
done

exit $((failures != 0))
