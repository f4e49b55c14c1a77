# SPDX-License-Identifier: BSD-2-Clause
"""hold_loan.py BDF: maps the slice that peermr borrow lent for a PCI device through the test importer, in a process of its
own that outlives the loan, and does not let go of it before that is killed. Says "holding as PID" once it has it."""
import fcntl
import os
import re
import signal
import struct
import sys

ATTACH, MAP = 0xC02CBA00, 0x4008BA01
UNMAP_NEVER = 2

buffer = int(os.environ['PEERMR_LOAN_FD'])
domain, bus, device, function = (int(part, 16) for part in re.split('[:.]', sys.argv[1]))
if os.fork() != 0:
    signal.pause()
importer = open('/dev/peermr_test_importer', 'rb+', buffering=0)
attach = bytearray(struct.pack('=IIiIBBHIIIIII', 44, 0, buffer, domain, bus, device << 3 | function, 0, UNMAP_NEVER,
                               0, 0, 0, 0, 0))
fcntl.ioctl(importer, ATTACH, attach)
fcntl.ioctl(importer, MAP, struct.pack('=II', 8, struct.unpack_from('=I', attach, 40)[0]))
print('holding as', os.getpid(), flush=True)
signal.pause()
