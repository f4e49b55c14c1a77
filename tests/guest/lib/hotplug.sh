# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Taking devices out of the running guest and putting them back, for guest tests. Sourced after devices.sh. The emulator's
# names for them: lab-mem0 and lab-mem1 (functions of one device: they leave together), lab-ivshmem.

qmp() { python3 /src/tests/guest/lib/qmp.py "$@"; }

present() { [[ -e /sys/bus/pci/devices/$1 ]]; }

# wait_until SECONDS COMMAND...: until COMMAND succeeds; LAB_TIME_SCALE times as long on a kernel that is slower.
wait_until() {
  local tries=$(($1 * 50 * ${LAB_TIME_SCALE:-1}))
  shift
  until "$@"; do
    ((tries-- > 0)) || return 1
    sleep 0.02
  done
}

gone() { ! present "$1"; }

# request_unplug NAME: the emulator asks the kernel to let go of a device, and takes it when the kernel does. Returns
# at once: the driver may be waiting for a user.
request_unplug() { qmp device_del "{\"id\": \"lab-$1\"}" >/dev/null; }

# unplug NAME BDF: as above, and waits until it is gone, 20 s at most.
unplug() {
  request_unplug "$1" || return
  wait_until 20 gone "$2" || { echo "unplug $1: $2 is still there after 20 s" >&2; return 1; }
}

# plug_memory NAME FUNCTION
plug_memory() {
  local place="\"bus\": \"mem\", \"addr\": \"0.$2\", \"multifunction\": true"
  local socket="{\"type\": \"unix\", \"path\": \"/run/lab/$1.sock\"}"
  qmp device_add "{\"driver\": \"vfio-user-pci\", \"id\": \"lab-$1\", $place, \"socket\": $socket}" >/dev/null
}

# plug_mem: puts both memory devices back where they were, bound to DRIVER (default: vfio-pci).
plug_mem() {
  wait_until 10 memory_released || { echo "plug_mem: the emulator has not let go of them" >&2; return 1; }
  # Function 0 last: with it the kernel looks at the slot.
  plug_memory mem1 1 && plug_memory mem0 0 || return
  plugged "$LAB_MEM0" && plugged "$LAB_MEM1" || return
  bind "$LAB_MEM0" "${1:-vfio-pci}" && bind "$LAB_MEM1" "${1:-vfio-pci}"
}

# plug_ivshmem [DRIVER]: the same for ivshmem. Its memory is a new one: the emulator cannot attach the old one again.
plug_ivshmem() {
  wait_until 10 released lab-ivshmem || { echo "plug_ivshmem: the emulator has not let go of it" >&2; return 1; }
  qmp object-del '{"id": "shm"}' >/dev/null || return
  qmp object-add '{"qom-type": "memory-backend-memfd", "id": "shm", "size": 67108864, "share": true}' >/dev/null || return
  qmp device_add '{"driver": "ivshmem-plain", "id": "lab-ivshmem", "memdev": "shm", "bus": "ivshmem"}' >/dev/null || return
  plugged "$LAB_IVSHMEM" && bind "$LAB_IVSHMEM" "${1:-vfio-pci}"
}

released() { [[ $(qmp qom-list '{"path": "/machine/peripheral"}') != *"\"$1\""* ]]; }
memory_released() { released lab-mem0 && released lab-mem1; }
plugged() { wait_until 20 present "$1" || { echo "$1 has not appeared within 20 s" >&2; return 1; }; }
