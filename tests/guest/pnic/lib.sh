# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the tests of the pnic driver share. Sourced first.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/lab.env
programs=/usr/libexec/peermr/tests

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

skip() {
  echo "$*"
  exit 77
}

# ib_name BDF: name of its RDMA device, nothing if there is none.
ib_name() {
  local dir
  for dir in "/sys/bus/pci/devices/$1/infiniband/"*; do
    [[ ! -e $dir ]] || echo "${dir##*/}"
  done
}

# wait_for_device BDF: until it has an RDMA device, at most 10 s.
wait_for_device() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    [[ -z $(ib_name "$1") ]] || return 0
    sleep 0.05
  done
  fail "$1 has no RDMA device"
}

# counter BDF NAME
counter() { cat "/sys/class/infiniband/$(ib_name "$1")/hw_counters/$2"; }

# The device's checks of itself: anything but 0 is a bug somewhere between driver, device and IOMMU.
check_self() {
  local nic name value
  for nic in $LAB_NIC0 $LAB_NIC1; do
    for name in dma_unmapped dma_after_invalidate; do
      value=$(counter "$nic" "$name")
      [[ $value == 0 ]] || fail "$nic: $name is $value"
    done
  done
}

# check_no_objects BDF: user space has closed everything, so the kernel must have nothing left.
check_no_objects() {
  local line
  line=$(rdma resource show "$(ib_name "$1")")
  for object in pd cq qp mr ctx; do
    [[ " $line " == *" $object 0 "* ]] || fail "objects are left: $line"
  done
}

# outlive BDF CYCLES COMMAND...: two clients, one that polls and one that sleeps, which in each cycle have the device
# open and busy while COMMAND (a function; it must bring the device back) takes it away.
outlive() {
  local bdf=$1 cycles=$2 i mode line fd
  local -A pid to from
  shift 2
  trap '' PIPE # a client that has failed says so itself
  for mode in poll sleep; do
    mkfifo "in.$mode" "out.$mode"
    "$programs/survivor" "$bdf" "$cycles" "$mode" <"in.$mode" >"out.$mode" 2>"err.$mode" &
    pid[$mode]=$!
    exec {fd}>"in.$mode"
    to[$mode]=$fd
    exec {fd}<"out.$mode"
    from[$mode]=$fd
  done
  for ((i = 0; i < cycles; i++)); do
    for mode in poll sleep; do
      read -r -t 30 -u "${from[$mode]}" line || line="nothing for 30 s, or its end"
      [[ $line == "ready $i" ]] || fail "client ($mode), cycle $i: $line; $(cat "err.$mode")"
    done
    "$@"
    echo gone >&"${to[poll]}" || true
    echo gone >&"${to[sleep]}" || true
  done
  for mode in poll sleep; do
    wait "${pid[$mode]}" || fail "client ($mode): $(cat "err.$mode")"
  done
}
