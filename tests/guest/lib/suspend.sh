# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# System suspend of the running guest, for guest tests. Sourced.

# suspend_devices mem|freeze: the kernel's own test of suspend: tasks are frozen, all drivers suspend their devices
# (pm_test "devices"), and a second later everything resumes. Returns then; fails if the kernel refused.
suspend_devices() {
  modprobe lab_awake || return # what we read and write through 9p must survive
  echo 1 >/sys/module/suspend/parameters/pm_test_delay
  echo devices >/sys/power/pm_test || return
  local status=0
  echo "$1" >/sys/power/state || status=$?
  echo none >/sys/power/pm_test
  return "$status"
}

# suspend_to_idle SECONDS: for real: the processors idle with all devices suspended until the clock's alarm.
suspend_to_idle() {
  modprobe lab_awake || return
  echo 0 >/sys/class/rtc/rtc0/wakealarm
  echo "+$1" >/sys/class/rtc/rtc0/wakealarm || return
  echo freeze >/sys/power/state
}
