# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# PCI devices and their drivers, for guest tests. Sourced.

# driver_of BDF: name of its driver; nothing if it has none.
driver_of() {
  local link
  link=$(readlink "/sys/bus/pci/devices/$1/driver") || return 0
  echo "${link##*/}"
}

# unbind BDF: from whatever drives it, and no driver takes it by itself afterwards. Waits, as the kernel does, until the
# device's users let go.
unbind() {
  local dir=/sys/bus/pci/devices/$1
  [[ -e $dir ]] || { echo "unbind $1: no such device" >&2; return 1; }
  echo none >"$dir/driver_override"
  # One that has only just found the device may give it up by itself meanwhile.
  [[ ! -e $dir/driver ]] || { echo "$1" >"$dir/driver/unbind"; } 2>/dev/null || [[ ! -e $dir/driver ]] || {
    echo "unbind $1: $(driver_of "$1") does not let go" >&2
    return 1
  }
  [[ -z $(driver_of "$1") ]] || { echo "unbind $1: it still has $(driver_of "$1")" >&2; return 1; }
}

# bind BDF DRIVER: to vfio-pci, peermr_vfio or any other PCI driver, whose module is loaded if need be; "none": unbind.
# Fails, with a message, when the driver does not take the device.
bind() {
  local dir=/sys/bus/pci/devices/$1 wanted=$2 since got
  [[ $wanted != none ]] || { unbind "$1"; return; }
  [[ -e $dir ]] || { echo "bind $1: no such device" >&2; return 1; }
  [[ -e /sys/bus/pci/drivers/$wanted ]] || modprobe "$wanted" || return
  [[ -e /sys/bus/pci/drivers/$wanted ]] ||
    { echo "bind $1: module $wanted brings no PCI driver of that name" >&2; return 1; }
  [[ $(driver_of "$1") != "$wanted" ]] || { echo "$wanted" >"$dir/driver_override"; return; }
  unbind "$1" || return
  since=$(cut -d' ' -f1 /proc/uptime)
  echo "$wanted" >"$dir/driver_override"
  echo "$1" >/sys/bus/pci/drivers_probe || true # whether it worked is looked at below
  got=$(driver_of "$1")
  [[ $got == "$wanted" ]] && return
  echo "bind $1: $wanted did not take it, it has ${got:-no driver}; the kernel's log since then:" >&2
  dmesg | awk -F'[][]' -v since="$since" '$2 + 0 >= since' | tail -n 5 >&2
  return 1
}
