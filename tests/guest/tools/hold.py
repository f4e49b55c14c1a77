# SPDX-License-Identifier: BSD-2-Clause
"""hold.py SOCKET BDF: takes the buffer of a peermr export, maps it for a PCI device through the test importer, and does
not let go of it before it is killed. Says "holding" once it has it."""
import array
import fcntl
import re
import signal
import socket
import struct
import sys

ATTACH, MAP = 0xC02CBA00, 0x4008BA01
UNMAP_NEVER = 2

peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
_, control, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(4))
buffer = array.array('i', control[0][2])[0]
domain, bus, device, function = (int(part, 16) for part in re.split('[:.]', sys.argv[2]))
importer = open('/dev/peermr_test_importer', 'rb+', buffering=0)
attach = bytearray(struct.pack('=IIiIBBHIIIIII', 44, 0, buffer, domain, bus, device << 3 | function, 0, UNMAP_NEVER,
                               0, 0, 0, 0, 0))
fcntl.ioctl(importer, ATTACH, attach)
fcntl.ioctl(importer, MAP, struct.pack('=II', 8, struct.unpack_from('=I', attach, 40)[0]))
print('holding', flush=True)
signal.pause()
