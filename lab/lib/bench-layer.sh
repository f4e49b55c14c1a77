# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab/run bench layer: what the library itself costs. The micro benchmarks, in the root file system and without a guest.

command_bench_layer() {
  local json='' args=() build=run dir
  while (($#)); do
    case $1 in
      --json) need_value "$1" $# && json=$2 && shift ;;
      --repetitions)
        need_value "$1" $#
        [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || usage_error "--repetitions wants a number, not '$2'"
        args+=(--repetitions "$2")
        shift
        ;;
      -h | --help) usage_bench && exit ;;
      --no-build) build=nothing ;;
      *) usage_error "bench layer: unknown argument '$1'" ;;
    esac
    shift
  done
  [[ -z $json ]] || [[ -d $json && -w $json ]] || usage_error "--json: no directory to write to: '$json'"
  begin
  prepare_all "$build"
  take_lock 8 "$LAB_BUILD.lock" -x "another run is building this checkout"
  [[ $build == nothing ]] || step build-bench "building the micro benchmarks" \
    in_build ninja -C /build/cmake -j "$(nproc)" bench/all lab/native/all
  dir=$LAB_BUILD/bench-layer
  rm -rf "$dir"
  mkdir "$dir"
  child in_build bash /src/bench/run --json "/build/${dir##*/}" "${args[@]}" /build/cmake ||
    die "the micro benchmarks failed"
  drop_lock 8
  [[ -z $json ]] || cp "$dir"/*.json "$json/"
}
