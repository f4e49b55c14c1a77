# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab/run bench revoke, bench recover: what a revoke and what a reset cost over each path. A guest for each topology, one
# after the other, runs lab/guest/bench-NAME.sh, whose report goes to stdout.

bench_guest_time_limit=3600

# command_bench_guest NAME ARGS...
command_bench_guest() {
  local name=$1 json='' topology='' topologies=() args=() build=guest
  shift
  while (($#)); do
    case $1 in
      --json) need_value "$1" $# && json=$2 && shift ;;
      --topology) need_value "$1" $# && need_topology "$2" && topologies+=("$2") && shift ;;
      -h | --help) usage_bench && exit ;;
      --no-build) build=nothing ;;
      *) args+=("$1") ;;
    esac
    shift
  done
  ((${#topologies[@]})) || topologies=("${bench_topologies[@]}")
  [[ -z $json ]] || [[ -d $json && -w $json ]] || usage_error "--json: no directory to write to: '$json'"
  begin
  prepare_all "$build"
  for topology in "${topologies[@]}"; do
    measure_guest_in "$topology" "$name" "${args[@]}"
    [[ -n $json ]] || continue
    collect_reports "$topology" "$json"
  done
}

# measure_guest_in TOPOLOGY NAME ARGS...: the revoke of a huge buffer is measured too.
measure_guest_in() {
  local topology=$1 name=$2 status=0 VM_MEMORY=''
  shift 2
  [[ $name != revoke ]] || VM_MEMORY=16G
  new_guest "bench-$name-$topology"
  printf 'exec bash /src/lab/guest/bench-%s.sh' "$name" >"$guest_dir/share/job"
  (($# == 0)) || printf ' %q' "$@" >>"$guest_dir/share/job"
  run_in_guest "$topology" "$bench_guest_time_limit" || status=$?
  ((status == 0)) || die "measuring in the topology $topology failed, status $status" "logs: $guest_dir"
}

# collect_reports TOPOLOGY DIR: what the guest left as /share/NAME.json, as DIR/NAME-TOPOLOGY.json.
collect_reports() {
  local file
  for file in "$guest_dir"/share/*.json; do
    cp "$file" "$2/$(basename "$file" .json)-$1.json"
  done
}
