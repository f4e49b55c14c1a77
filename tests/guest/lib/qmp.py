#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""qmp.py COMMAND [ARGUMENTS]: one command for the emulator that this guest runs in.

ARGUMENTS is a JSON object, for example '{"id": "lab-mem0"}'. Prints what the command returns, as JSON, and leaves
with 0; on an error prints its text and leaves with 1. Only guests of tests have a way to the emulator, and those of
"lab/run exec --monitor". One at a time.
"""

import glob
import json
import os
import sys
import time

TIMEOUT_SECONDS = 20


def port():
    for directory in glob.glob("/sys/class/virtio-ports/*"):
        try:
            with open(directory + "/name", encoding="ascii") as name:
                if name.read().strip() == "monitor":
                    return "/dev/" + os.path.basename(directory)
        except FileNotFoundError:
            pass  # the console has no name
    sys.exit("this guest has no way to its emulator's monitor")


class Monitor:
    def __init__(self):
        self.fd = os.open(port(), os.O_RDWR | os.O_NONBLOCK)
        self.have = b""

    def receive(self, deadline):
        while b"\n" not in self.have:
            if time.monotonic() > deadline:
                sys.exit("the emulator does not answer")
            try:
                self.have += os.read(self.fd, 65536)
            except BlockingIOError:
                pass
            time.sleep(0.002)  # also for "nobody at the other end", which reads as an empty string
        line, self.have = self.have.split(b"\n", 1)
        return json.loads(line)

    def call(self, command, arguments):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        call = {"execute": command, "arguments": arguments, "id": f"{os.getpid()}-{command}"}
        os.write(self.fd, json.dumps(call).encode() + b"\n")
        while True:
            reply = self.receive(deadline)
            # Not ours: the greeting, events, answers that somebody did not wait for.
            if reply.get("id") == call["id"]:
                return reply


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    arguments = json.loads(sys.argv[2]) if len(sys.argv) == 3 else {}
    monitor = Monitor()
    # Refused by a monitor that has been through it, which is as good.
    monitor.call("qmp_capabilities", {})
    reply = monitor.call(sys.argv[1], arguments)
    if "error" in reply:
        sys.exit(f"{sys.argv[1]}: {reply['error']['desc']}")
    print(json.dumps(reply["return"]))


main()
