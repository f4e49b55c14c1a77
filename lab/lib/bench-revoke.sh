# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab/run bench revoke: what a revoke costs over each path, with this project's exporter against the kernel's own.

bench_revoke_time_limit=1800

command_bench_revoke() {
  local json='' topology args=() build=guest
  while (($#)); do
    case $1 in
      --json) need_value "$1" $# && json=$2 && shift ;;
      -h | --help) usage_bench && exit ;;
      --no-build) build=nothing ;;
      *) args+=("$1") ;;
    esac
    shift
  done
  [[ -z $json ]] || [[ -d $json && -w $json ]] || usage_error "--json: no directory to write to: '$json'"
  begin
  prepare_all "$build"
  for topology in "${bench_topologies[@]}"; do
    measure_revoke_in "$topology" "${args[@]}"
    [[ -n $json ]] || continue
    cp "$guest_dir/share/revoke.json" "$json/revoke-$topology.json"
    cp "$guest_dir/share/revoke-size.json" "$json/revoke-size-$topology.json"
  done
}

# measure_revoke_in TOPOLOGY ARGS...: in a guest with a BAR of 16 GiB; its report goes to stdout.
measure_revoke_in() {
  local topology=$1 status=0 VM_MEMORY=16G
  shift
  new_guest "bench-revoke-$topology"
  printf 'exec bash /src/lab/guest/bench-revoke.sh' >"$guest_dir/share/job"
  (($# == 0)) || printf ' %q' "$@" >>"$guest_dir/share/job"
  run_in_guest "$topology" "$bench_revoke_time_limit" || status=$?
  ((status == 0)) || die "measuring in the topology $topology failed, status $status" "logs: $guest_dir"
}
