# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The subcommands: their options, and what they call. (bench: bench.sh)

# begin: what every command that uses the cache does first.
begin() {
  require_root_and_namespaces
  mkdir -p "$LAB_CACHE/logs" || die "cannot make the cache directory $LAB_CACHE" "PEERMR_CACHE=DIR names another"
  take_lock 9 "$LAB_CACHE/use.lock" -s "the cache is being removed"
  mkdir -p "$LAB_CACHE/logs"
  prune_logs
  LAB_LOGS=$LAB_CACHE/logs/$(date +%Y%m%d-%H%M%S)-$LAB_COMMAND-$$
  mkdir "$LAB_LOGS"
}

# Logs of the last runs are worth keeping, not of all.
prune_logs() {
  local dir
  find "$LAB_CACHE/logs" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +31 |
    while read -r _ dir; do rm -rf --one-file-system -- "$dir"; done
}

# prepare_all run|guest|all|nothing: nothing uses what was built last; the others: see ensure_build. Guests run the kernel
# that $kernel names.
prepare_all() {
  use_kernel "${kernel:-stock}"
  ensure_rootfs
  note_versions
  ensure_guest_image
  if [[ $1 == nothing ]]; then reuse_build; else ensure_build "$1"; fi
}

command_setup() {
  local refresh=0
  while (($#)); do
    case $1 in
      --refresh) refresh=1 ;;
      *) usage_error "setup: unknown argument '$1'" ;;
    esac
    shift
  done
  begin
  ensure_rootfs "$refresh"
  ensure_guest_image
  note_versions
  say "the lab is ready"
}

command_build() {
  (($# == 0)) || usage_error "build takes no arguments"
  begin
  ensure_rootfs
  ensure_build all
  say "built: $LAB_BUILD"
}

command_test() {
  local labels='' filter='' topology='' build='' kernel=stock
  while (($#)); do
    case $1 in
      --label)
        need_value "$1" $#
        [[ $2 =~ ^(unit|nic|guest)$ ]] || usage_error "no label '$2'; there are: unit nic guest"
        labels+=" $2"
        shift
        ;;
      --filter) need_value "$1" $# && filter=$2 && shift ;;
      --topology) need_value "$1" $# && need_topology "$2" && topology=$2 && shift ;;
      --kernel) need_value "$1" $# && need_kernel "$2" && kernel=$2 && shift ;;
      --no-build) build=nothing ;;
      *) usage_error "test: unknown argument '$1'" ;;
    esac
    shift
  done
  # The others have nothing to do with the guests' kernel.
  [[ -n $labels || (-z $topology && $kernel == stock) ]] || labels=guest
  [[ -n $build || $labels =~ unit|nic || -z $labels ]] || build=guest
  check_filter "$filter"
  begin
  prepare_all "${build:-all}"
  run_tests "${labels:-unit nic guest}" "$filter" "$topology"
}

# Status 2 of a match means that the expression itself is wrong.
check_filter() {
  local status
  grep -qE -- "$1" </dev/null 2>/dev/null && status=$? || status=$?
  ((status < 2)) || usage_error "--filter: not a regular expression: $1"
}

command_shell() {
  local topology=switch build=guest kernel=stock
  while (($#)); do
    case $1 in
      --topology) need_value "$1" $# && need_topology "$2" && topology=$2 && shift ;;
      --kernel) need_value "$1" $# && need_kernel "$2" && kernel=$2 && shift ;;
      --no-build) build=nothing ;;
      *) usage_error "shell: unknown argument '$1'" ;;
    esac
    shift
  done
  [[ -t 0 && -t 1 ]] || usage_error "shell wants a terminal; for scripts there is exec"
  begin
  prepare_all "$build"
  new_guest shell
  cp "$LAB_DIR/guest/shell.sh" "$guest_dir/share/job"
  printf '%s %s\n' "$(stty size)" "${TERM:-vt100}" >"$guest_dir/share/interactive"
  LAB_TTY_STATE=$(stty -g)
  guest_input=3
  # Keys, ^C included, belong to the guest.
  stty raw -echo
  run_in_guest "$topology" 0
}

command_exec() {
  local topology=switch timeout=300 share='' build=guest kernel=stock
  VM_PNICD_ARGS=
  VM_MEMORY=
  VM_MONITOR=
  while (($#)); do
    case $1 in
      --topology) need_value "$1" $# && need_topology "$2" && topology=$2 && shift ;;
      --kernel) need_value "$1" $# && need_kernel "$2" && kernel=$2 && shift ;;
      --timeout)
        need_value "$1" $#
        [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || usage_error "--timeout wants seconds, not '$2'"
        timeout=$2
        shift
        ;;
      --share) need_value "$1" $# && share=$2 && shift ;;
      --pnicd-args) need_value "$1" $# && VM_PNICD_ARGS=$2 && shift ;;
      --memory) need_value "$1" $# && VM_MEMORY=$2 && shift ;;
      --monitor) VM_MONITOR=1 ;;
      --no-build) build=nothing ;;
      --) shift && break ;;
      -*) usage_error "exec: unknown option '$1'" ;;
      *) break ;;
    esac
    shift
  done
  (($#)) || usage_error "exec wants a command"
  [[ -z $share || -d $share ]] || usage_error "--share: no directory '$share'"
  begin
  prepare_all "$build"
  new_guest exec
  printf '%q ' "$@" >"$guest_dir/share/job"
  run_and_share "$topology" $((timeout * LAB_TIME_SCALE)) "$share"
}

# run_and_share TOPOLOGY TIMEOUT DIR: what the job left in the share, without the lab's own files, goes to DIR.
run_and_share() {
  local status=0
  run_in_guest "$1" "$2" || status=$?
  if [[ -n $3 ]]; then
    (cd "$guest_dir/share" && rm -f job status dmesg prepare.log && cp -r . "$3/")
  fi
  return "$status"
}

command_versions() {
  (($# == 0)) || usage_error "versions takes no arguments"
  begin
  ensure_rootfs
  show_versions
}

# Only what the lab itself put there; the directory goes if nothing else is in it.
command_clean() {
  local part
  (($# == 0)) || usage_error "clean takes no arguments"
  ((EUID == 0)) || die "the cache belongs to root: sudo $LAB_COMMAND_LINE clean"
  if [[ ! -e $LAB_CACHE/use.lock ]]; then
    say "nothing to remove: $LAB_CACHE"
    return 0
  fi
  take_lock 9 "$LAB_CACHE/use.lock" -x "other runs use the cache"
  say "removing $LAB_CACHE"
  for part in rootfs build guest kernel stages logs; do
    child rm -rf --one-file-system -- "$LAB_CACHE/$part"
  done
  rm -f "$LAB_CACHE/setup.lock" "$LAB_CACHE/kernel.lock" "$LAB_CACHE/use.lock"
  rmdir "$LAB_CACHE" 2>/dev/null || note "left, not the lab's: $(cd "$LAB_CACHE" && echo *)"
}
