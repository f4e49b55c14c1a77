# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# PCI Express errors, injected by the kernel's own aer_inject: root port and driver see them as if the device had
# reported them. For devices with an AER capability below a port that has one (the memory devices). Sourced.

# wake_bus BDF: keeps all functions of its bus awake. lockdep complains when the recovery of one wakes another that is VFIO's
# (pci_bus_sem, then memory_lock), whose changes of power state take both the other way round; it does not know that a
# function whose power its user changes is awake. Only where there is lockdep: elsewhere the wake-up is part of the test.
wake_bus() {
  local function
  [[ -e /proc/lockdep_stats ]] || return 0
  for function in "/sys/bus/pci/devices/${1%:*}":*; do
    echo on >"$function/power/control" || return
  done
}

# inject_error BDF nonfatal|fatal|correctable: returns once the error is under way; the kernel's recovery comes a moment
# later and, for a fatal one, resets the link, for more than a second.
inject_error() {
  modprobe aer_inject || return
  wake_bus "$1" || return
  python3 - "$@" <<'END'
import struct
import sys

# struct aer_error_inj, drivers/pci/pcie/aer_inject.c: address, status bits, header log, domain.
# Completion timeout is not fatal by default, a malformed TLP is; bad TLP is correctable.
status = {"nonfatal": (0x4000, 0), "fatal": (0x40000, 0), "correctable": (0, 0x40)}
if len(sys.argv) != 3 or sys.argv[2] not in status:
    sys.exit("inject_error BDF nonfatal|fatal|correctable")
domain, bus, rest = sys.argv[1].split(":")
device, function = rest.split(".")
error = struct.pack("=BBBxIIIIIII", int(bus, 16), int(device, 16), int(function), *status[sys.argv[2]], 0, 1, 2, 3,
                    int(domain, 16))
try:
    with open("/dev/aer_inject", "wb", buffering=0) as injector:
        injector.write(error)
except OSError as problem:
    sys.exit(f"inject_error {sys.argv[1]}: {problem.strerror}")
END
}

# stop_injecting: once recovery is over. Until then aer_inject stands between everybody and the configuration space of that
# bus, and takes a lock there which lockdep forbids when a user reads (inject_lock, below pci_lock).
stop_injecting() {
  sleep 1 # who has begun to read through it may end
  modprobe -r aer_inject
}

# errors_recovered N: whether the kernel's log tells of N recoveries, good ones.
errors_recovered() { (($(dmesg | grep -c 'AER: device recovery successful') >= $1)); }
