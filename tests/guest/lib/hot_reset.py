#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""hot_reset.py BDF [--reset]: the devices that a VFIO hot reset of this one reaches, one a line.

With --reset it is done, which takes the VFIO group of each of them. The device must be bound to vfio-pci or one of its
variants, and nobody else may have its group open. Exit status 1 with a message when the kernel refuses.
"""

import ctypes
import fcntl
import os
import struct
import sys

# linux/vfio.h: _IO(';', 100 + n)
SET_IOMMU = 0x3B66
GROUP_SET_CONTAINER = 0x3B68
GROUP_GET_DEVICE_FD = 0x3B6A
GET_PCI_HOT_RESET_INFO = 0x3B70
PCI_HOT_RESET = 0x3B71
TYPE1_IOMMU = 1


def open_device(bdf):
    group = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{bdf}/iommu_group"))
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    group_fd = os.open(f"/dev/vfio/{group}", os.O_RDWR)
    fcntl.ioctl(group_fd, GROUP_SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, TYPE1_IOMMU)
    # Its result is what counts, and fcntl returns that only for integer arguments.
    libc = ctypes.CDLL(None, use_errno=True)
    device = libc.ioctl(group_fd, ctypes.c_ulong(GROUP_GET_DEVICE_FD), ctypes.c_char_p(bdf.encode()))
    if device < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return device, int(group), group_fd


def reached(device):
    """[(group, bdf)]"""
    room = 64
    buffer = bytearray(struct.pack("III", 12 + 8 * room, 0, 0) + bytes(8 * room))
    fcntl.ioctl(device, GET_PCI_HOT_RESET_INFO, buffer)
    count = struct.unpack_from("III", buffer)[2]
    found = []
    for index in range(count):
        group, domain, bus, devfn = struct.unpack_from("IHBB", buffer, 12 + 8 * index)
        found.append((group, f"{domain:04x}:{bus:02x}:{devfn >> 3:02x}.{devfn & 7}"))
    return found


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--reset"]):
        sys.exit(__doc__)
    try:
        device, group, group_fd = open_device(sys.argv[1])
        devices = reached(device)
        print("\n".join(bdf for _, bdf in devices))
        if len(sys.argv) == 3:
            fds = {group: group_fd}
            for other, _ in devices:
                fds.setdefault(other, None)
                if fds[other] is None:
                    fds[other] = os.open(f"/dev/vfio/{other}", os.O_RDWR)
            fcntl.ioctl(device, PCI_HOT_RESET, struct.pack(f"III{len(fds)}i", 12 + 4 * len(fds), 0, len(fds), *fds.values()))
    except OSError as problem:
        sys.exit(f"hot_reset.py {sys.argv[1]}: {problem}")


main()
