# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab/run bench: a guest for each path, one after the other (they would disturb each other), and one table of both.

bench_topologies=(switch root-ports)
bench_time_limit=360

command_bench() {
  case ${1:-} in
    revoke | recover)
      command_bench_guest "$@"
      return
      ;;
    layer)
      shift
      command_bench_layer "$@"
      return
      ;;
  esac
  local json='' topology measured=() args=() build=run
  while (($#)); do
    case $1 in
      --json) need_value "$1" $# && json=$2 && shift ;;
      --compare)
        need_value "$1" $#
        [[ $2 == rxe ]] || usage_error "--compare: there is only rxe, not '$2'"
        args+=(--compare rxe)
        shift
        ;;
      --no-build) build=nothing ;;
      *) args+=("$1") ;;
    esac
    shift
  done
  [[ -z $json ]] || check_writable "$json"
  begin
  prepare_all "$build"
  for topology in "${bench_topologies[@]}"; do
    measure_in "$topology" "${args[@]}"
    measured+=("$guest_dir/share/bench.json")
  done
  report_bench "$json" "${measured[@]}"
}

# Known before the minutes of measuring, not after.
check_writable() {
  local dir
  dir=$(dirname -- "$1")
  [[ -d $dir && -w $dir && ! -d $1 ]] || usage_error "--json: cannot write '$1'"
}

# measure_in TOPOLOGY ARGS...: leaves /share/bench.json. What the guest says is shown only when it fails.
measure_in() {
  local topology=$1 status=0
  shift
  new_guest "bench-$topology"
  printf 'exec bash /src/lab/guest/bench.sh' >"$guest_dir/share/job"
  (($# == 0)) || printf ' %q' "$@" >>"$guest_dir/share/job"
  exec 4>"$guest_dir/console.log"
  run_in_guest "$topology" "$bench_time_limit" || status=$?
  exec 4>&1
  if ((status)) || [[ ! -s $guest_dir/share/bench.json ]]; then
    tail -n 30 "$guest_dir/console.log" | sed 's/^/  | /' >&2
    die "measuring in the topology $topology failed, status $status" "logs: $guest_dir"
  fi
}

# report_bench JSON FILE...: the table of all FILEs on stdout; the same as JSON if JSON is not empty.
report_bench() {
  local json=$1 dir=$LAB_LOGS/report file status=0 names=()
  shift
  mkdir "$dir"
  for file in "$@"; do
    cp "$file" "$dir/${#names[@]}.json"
    names+=("/lab/run/${#names[@]}.json")
  done
  child in_rootfs "$LAB_STAGE" /lab/guest/stage ro "$dir" /lab/run rw -- \
    env LD_LIBRARY_PATH=/lab/guest/stage/usr/lib/x86_64-linux-gnu \
    /lab/guest/stage/usr/bin/peermr bench report "${names[@]}" --json /lab/run/all.json || status=$?
  if [[ -n $json && -s $dir/all.json ]]; then
    cp "$dir/all.json" "$json" || die "cannot write $json"
    say "wrote $json"
  fi
  return "$status"
}
