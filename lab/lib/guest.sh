# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Guests, seen from the host: prepare one, boot it, and judge how it ended.

lab_guests=0

# What in a kernel log means that the kernel itself found a bug.
lab_splat='WARNING: |BUG: |Oops: |Call Trace:|blocked for more than|UBSAN: |KASAN: |general protection fault|'
lab_splat+='Kernel panic|detected stalls|refcount_t: |list_(add|del) corruption|'
# What only the debug kernel says: lockdep that gave up, and DMA-API errors. (A leak is a BUG: see guest/main.sh.)
lab_splat+='INFO: (lockdep|trying to register)|DMA-API: (exceeded|.*device driver|.*debugging out of memory)'

topologies() { (cd "$LAB_DIR/topologies" && echo *); }

need_topology() {
  [[ $1 =~ ^[a-z-]+$ && -e $LAB_DIR/topologies/$1 ]] || usage_error "no topology '$1'; there are: $(topologies)"
}

# ensure_guest_image: sets LAB_IMAGE, what guests boot with, and LAB_ACCEL. Other runs may still use older ones.
ensure_guest_image() {
  local key
  key=$(cat "$LAB_DIR/guest/init" "$LAB_DIR/lib/guest-image.sh" | sha256sum | cut -c1-12)
  LAB_IMAGE=$LAB_CACHE/guest/${LAB_ROOTFS##*/}-$key
  mkdir -p "$LAB_CACHE/guest"
  if [[ ! -e $LAB_IMAGE || $LAB_IMAGE -ot $LAB_ROOTFS/etc/peermr-lab ]]; then
    take_lock 8 "$LAB_CACHE/setup.lock" -x "another run is setting up the lab"
    [[ -e $LAB_IMAGE && ! $LAB_IMAGE -ot $LAB_ROOTFS/etc/peermr-lab ]] || make_guest_image
    drop_lock 8
  fi
  take_lock 6 "$LAB_IMAGE.lock" -s "another run is replacing the guest's image"
  choose_accelerator
  [[ -z $LAB_DEBUG_KERNEL ]] || use_debug_image
}

# use_debug_image: LAB_IMAGE becomes one with the debug kernel and the same root.
use_debug_image() {
  local stock=$LAB_IMAGE
  LAB_IMAGE+=-${LAB_DEBUG_KERNEL##*/}
  if [[ ! -e $LAB_IMAGE || $LAB_IMAGE -ot $stock ]]; then
    take_lock 8 "$LAB_CACHE/setup.lock" -x "another run is setting up the lab"
    [[ -e $LAB_IMAGE && ! $LAB_IMAGE -ot $stock ]] || make_debug_image "$stock"
    drop_lock 8
  fi
  exec {lab_image_lock}>>"$LAB_IMAGE.lock"
  flock -s "$lab_image_lock"
}

make_debug_image() {
  rm -rf --one-file-system -- "$LAB_CACHE"/guest/*.part
  mkdir "$LAB_IMAGE.part"
  doom "$LAB_IMAGE.part"
  step image "making the guest's image with the debug kernel" in_rootfs "$LAB_SOURCE" /src ro "$LAB_IMAGE.part" /build rw \
    -- bash /src/lab/lib/guest-image.sh built-in /src/lab/guest/init /build
  ln "$1/root" "$LAB_IMAGE.part/root"
  ln "$LAB_DEBUG_KERNEL/guest-kernel" "$LAB_IMAGE.part/kernel"
  replace_dir "$LAB_IMAGE"
  spare "$LAB_IMAGE.part"
}

make_guest_image() {
  rm -rf --one-file-system -- "$LAB_CACHE"/guest/*.part
  mkdir "$LAB_IMAGE.part"
  doom "$LAB_IMAGE.part"
  step image "making the guest's image" in_rootfs "$LAB_SOURCE" /src ro "$LAB_ROOTFS" /lab/guest/root ro \
    "$LAB_IMAGE.part" /build rw -- bash /src/lab/lib/guest-image.sh "$LAB_KERNEL" /src/lab/guest/init /build
  replace_dir "$LAB_IMAGE"
  spare "$LAB_IMAGE.part"
}

# /dev/kvm may be there and not work, so a kernel is booted with it; the verdict holds until the machine restarts.
# PEERMR_ACCEL=kvm|tcg overrides.
choose_accelerator() {
  local verdict
  LAB_ACCEL=${PEERMR_ACCEL:-}
  [[ -z $LAB_ACCEL ]] || return 0
  LAB_ACCEL=tcg
  [[ -c /dev/kvm ]] || return 0
  verdict=$LAB_CACHE/guest/kvm.$(</proc/sys/kernel/random/boot_id)
  if [[ ! -e $verdict ]]; then
    say "trying KVM"
    rm -f "$LAB_CACHE"/guest/kvm.*
    new_guest kvm
    LAB_ACCEL=kvm VM_PROBE=1 boot_guest root-ports 8
    wait_guest
    # lab/guest/init leaves with 42: QEMU exits with 2 * 42 + 1.
    if [[ $(<"$guest_dir/qemu-status") == 85 ]]; then echo kvm; else echo tcg; fi >"$verdict"
  fi
  LAB_ACCEL=$(<"$verdict")
  note "guests run under $LAB_ACCEL"
}

# new_guest NAME: a directory for a guest's logs and its share; sets guest_dir.
new_guest() {
  guest_dir=$LAB_LOGS/guest-$((++lab_guests))-$1
  mkdir -p "$guest_dir/share"
  : >"$guest_dir/serial.log"
}

# boot_guest TOPOLOGY TIMEOUT: starts the guest of new_guest in the background, with fd 3 as its terminal's input and
# fd 4 as its output; sets guest_pid. VM_PNICD_ARGS, VM_MEMORY, VM_MONITOR and VM_PROBE pass on to vm.sh.
boot_guest() {
  local stage=${LAB_STAGE:-$guest_dir/share}
  in_rootfs "$LAB_IMAGE" /lab/image ro "$stage" /lab/guest/stage ro "$LAB_SOURCE" /lab/guest/src ro \
    "$guest_dir" /lab/run rw -- env VM_TOPOLOGY="$1" VM_TIMEOUT="$2" VM_ACCEL="$LAB_ACCEL" \
    VM_PNICD_ARGS="${VM_PNICD_ARGS:-}" VM_MEMORY="${VM_MEMORY:-}" VM_MONITOR="${VM_MONITOR:-}" \
    VM_PROBE="${VM_PROBE:-}" VM_TIME_SCALE="$LAB_TIME_SCALE" \
    bash /lab/guest/src/lab/lib/vm.sh <&"${guest_input:-5}" >&4 &
  guest_pid=$!
  lab_children+=("$guest_pid")
}

wait_guest() {
  local status=0
  wait "$guest_pid" || status=$?
  forget_child "$guest_pid"
  [[ ! -e $guest_dir/hung ]] || note "the guest hung while it booted, and was started again: $guest_dir/serial-hung.log"
  return 0
}

kill_guest() {
  kill_child "$guest_pid"
}

# guest_splats: lines of the guest's kernel log that mean a kernel bug.
guest_splats() {
  grep -hE "$lab_splat" "$guest_dir/serial.log" "$guest_dir/share/dmesg" 2>/dev/null | sort -u | head -n 20 || true
}

# guest_verdict: sets guest_status (the job's, or 125) and guest_problem (empty when the status can be trusted).
guest_verdict() {
  local qemu device said=none
  qemu=$(cat "$guest_dir/qemu-status" 2>/dev/null) || qemu=none
  device=$(cat "$guest_dir/pnicd-status" 2>/dev/null) || device=ok
  said=$(cat "$guest_dir/share/status" 2>/dev/null) || said=none
  guest_problem=
  guest_status=125
  case $qemu in
    none) guest_problem="the emulator did not start" ;;
    0) guest_problem="the guest died: its kernel panicked or restarted" ;;
    124 | 137) guest_problem="the guest did not end within its time limit" ;;
    *) [[ $said =~ ^[0-9]+$ ]] && ((qemu == (said << 1 & 255 | 1))) ||
      guest_problem="the guest's exit cannot be trusted: it said '$said', the emulator ended with $qemu" ;;
  esac
  [[ $device == ok ]] || guest_problem="${guest_problem:+$guest_problem; }pnicd $device"
  if [[ -n $(guest_splats) ]]; then
    guest_problem="${guest_problem:+$guest_problem; }the guest's kernel reported a bug"
  fi
  [[ -n $guest_problem ]] || guest_status=$said
}

# report_guest_problem: what went wrong, with what the logs say.
report_guest_problem() {
  printf 'lab: %s\n' "$guest_problem" >&2
  guest_splats | sed 's/^/  kernel | /' >&2
  head -n 40 "$guest_dir/share/leaks" 2>/dev/null | sed 's/^/  leak | /' >&2 || true
  grep -v 'warning:' "$guest_dir/qemu.log" 2>/dev/null | tail -n 5 | sed 's/^/  qemu | /' >&2 || true
  [[ $guest_problem != *pnicd* ]] || show_log pnicd.log 15
  [[ $guest_problem != *died* && $guest_problem != *time\ limit* ]] || show_log serial.log 15
  printf '  logs: %s\n' "$guest_dir" >&2
}

show_log() {
  [[ ! -s $guest_dir/$1 ]] || tail -n "$2" "$guest_dir/$1" | sed "s/^/  ${1%.log} | /" >&2
}

# run_in_guest TOPOLOGY TIMEOUT: the job in $guest_dir/share/job, with its output on our stdout. Returns its status, or
# 125 when the guest, its kernel or its device failed, whatever the job said.
run_in_guest() {
  say "booting a guest: $1, $LAB_ACCEL${LAB_DEBUG_KERNEL:+, debug kernel}"
  boot_guest "$1" "$2"
  wait_guest
  guest_verdict
  [[ -z $guest_problem ]] || report_guest_problem
  return "$guest_status"
}
