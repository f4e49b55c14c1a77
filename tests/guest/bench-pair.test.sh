# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# peermr bench between two processes: verified rows over a unix and an internet socket; wrong data is found; peers that
# talk nonsense, are silent or go away end with an error, not with a hang.
# topology: switch
# timeout: 120
set -uo pipefail

fail() {
  echo "FAILED: $*"
  for file in listen.out connect.out; do
    [[ ! -e $file ]] || { echo "-- $file"; cat "$file"; }
  done
  exit 1
}

# listen ADDRESS ARGS...: in the background, until it is ready; its process is $listener.
listen() {
  local tries
  peermr bench --listen "$1" --target-device pnic1 "${@:2}" >listen.out 2>&1 &
  listener=$!
  for ((tries = 0; tries < 100; tries++)); do
    ! grep -q '^listening on ' listen.out || return 0
    kill -0 "$listener" 2>/dev/null || fail "the listener ended"
    sleep 0.1
  done
  fail "the listener is not ready"
}

# ended: the listener's status, within 10 s.
ended() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    kill -0 "$listener" 2>/dev/null || break
    sleep 0.1
  done
  ! kill -9 "$listener" 2>/dev/null || return 99
  wait "$listener"
}

bar=$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:1M+8M
listen unix:socket --target host --target "$bar"
peermr bench --connect unix:socket --device pnic0 --size 4K,1M --duration 0.05 --latency-samples 50 --json pair.json \
  >connect.out 2>&1 || fail "the initiator's status is $?"
ended || fail "the listener's status is $?"
[[ $(grep -c '"verified": true' pair.json) == 8 ]] || fail "not 8 rows are verified"
[[ ! -e socket ]] || fail "the socket was left behind"

listen 127.0.0.1:0 --target host
peermr bench --connect "$(sed -n 's/^listening on \([^ ]*\) .*/\1/p' listen.out)" --device pnic0 --size 64K \
  --duration 0.05 >connect.out 2>&1 || fail "over TCP: the initiator's status is $?"
ended || fail "over TCP: the listener's status is $?"

# Wrong data is found: between the two, somebody changes what the target should hold, so that a read brings other bytes
# than it should, and what a write should have left.
cat >forge.py <<'END'
import json, socket, sys, threading
door = socket.socket(socket.AF_UNIX)
door.bind("forged")
door.listen(1)
print("ready", flush=True)
client = door.accept()[0]
server = socket.socket(socket.AF_UNIX)
server.connect("socket")
def back():
    while data := server.recv(65536):
        client.sendall(data)
threading.Thread(target=back, daemon=True).start()
for line in client.makefile():
    message = json.loads(line)
    if message["type"] == "verify" or message.get("pattern"):
        message["seed"] ^= 1
    server.sendall(json.dumps(message).encode() + b"\n")
END
for operation in write read; do
  listen unix:socket --target "$bar"
  rm -f forged
  python3 forge.py >forge.out 2>&1 &
  for ((tries = 0; tries < 200; tries++)); do
    ! grep -q ready forge.out || break
    sleep 0.1
  done
  peermr bench --connect unix:forged --device pnic0 --op "$operation" --size 4K --duration 0.05 --json wrong.json \
    >connect.out 2>&1
  [[ $? == 1 ]] || fail "$operation of wrong data: the status should be 1"
  ended || fail "$operation of wrong data: the listener's status is $?"
  grep -q 'MISMATCH at offset 0x0' connect.out || fail "$operation of wrong data: the table does not say so"
  grep -q '"verified": false' wrong.json || fail "$operation of wrong data: the JSON says that it was verified"
done

# What a peer may say: nonsense, another version, a queue pair or slots that cannot be, half a line and its end.
cat >say.py <<'END'
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(5)
peer.connect("socket")
for line in sys.argv[1:]:
    peer.sendall(line.encode() + b"\n")
    try:
        answer = peer.recv(65536)
    except OSError:
        break
    if not answer:
        break
    print(answer.decode(), end="")
END
says() { # says WANTED-IN-ANSWER-OR-LISTENER LINE...
  listen unix:socket --target host
  python3 say.py "${@:2}" >connect.out 2>&1
  ended
  (($? != 99)) || fail "the listener hangs after: ${*:2}"
  cat listen.out connect.out | grep -q -- "$1" || fail "no '$1' after: ${*:2}"
}
says 'not a message' 'nonsense'
says 'not of version' '{"version":2,"type":"hello"}'
says '"error"' '{"version":1,"type":"reformat"}'
says 'qpn' '{"version":1,"type":"connect","qp":{"qpn":99999999}}'
says 'do not lie within' \
  '{"version":1,"type":"fill","target":0,"size_bytes":64,"stride_bytes":64,"slots":288230376151711744,"seed":1}'
says 'no such target' \
  '{"version":1,"type":"fill","target":7,"size_bytes":64,"stride_bytes":64,"slots":1,"seed":1}'
says 'it is gone' '{"version":1,"type":"hello"}'

peermr bench --connect unix:nobody --size 4K >connect.out 2>&1 && fail "connecting to nobody succeeded"
grep -q -- '--listen' connect.out || fail "no remedy when nobody listens"
exit 0
