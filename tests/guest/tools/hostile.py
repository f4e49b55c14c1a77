# SPDX-License-Identifier: BSD-2-Clause
"""hostile.py SOCKET SECONDS: a borrower that keeps to nothing: packets of any size, requests of any content, descriptors that
nobody asked for, answers that are not read, connections that say nothing."""
import array
import random
import socket
import struct
import sys
import time

seed = random.randrange(1 << 32)
print('seed', seed)
random.seed(seed)
end = time.monotonic() + float(sys.argv[2])
idle = []


def request():
    kind = random.choice([1, 1, 2, 3, random.randrange(1 << 32)])
    number = [random.choice([0, 1, random.randrange(1 << 64)]) for _ in range(4)]
    return struct.pack('<IIQQQQ', kind, random.randrange(1 << 32), *number)


while time.monotonic() < end:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(1)
    try:
        peer.connect(sys.argv[1])
        choice = random.randrange(4)
        if choice == 0:
            idle = (idle + [peer])[-100:]
        elif choice == 1:
            peer.send(random.randbytes(random.choice([1, 39, 40, 41, 5000])))
        elif choice == 2:
            peer.sendmsg([request()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, 2]))])
        else:
            for _ in range(random.choice([1, 10, 1000])):
                peer.send(request())
    except (OSError, socket.timeout):
        pass
