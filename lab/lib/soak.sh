# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab/run soak: verified traffic under resets, for as long as one likes; tests/guest/soak.test.sh is its short form.

soak_topologies=(switch root-ports)

command_soak() {
  local seed='' minutes=10 topologies=("${soak_topologies[@]}") topology only='' build=guest
  while (($#)); do
    case $1 in
      --seed) need_number "$1" "$#" "${2:-}" && seed=$2 && shift ;;
      --minutes) need_number "$1" "$#" "${2:-}" && minutes=$2 && shift ;;
      --topology) need_value "$1" $# && topologies=("$2") only=" $1 $2" && shift ;;
      --no-build) build=nothing ;;
      *) usage_error "soak: unknown option '$1'" ;;
    esac
    shift
  done
  ((minutes > 0)) || usage_error "--minutes: at least 1"
  for topology in "${topologies[@]}"; do need_topology "$topology"; done
  begin
  prepare_all "$build"
  seed=${seed:-$RANDOM$RANDOM}
  soak_reports=()
  soak_failed=
  for topology in "${topologies[@]}"; do
    soak_in "$topology" "$topology" '' $((minutes * 25)) --seed "$seed"
    # Streams without connections have nobody who repeats what gets lost.
    soak_in "$topology" "$topology, lossy wire" '--lose 100' $((minutes * 5)) --seed "$seed" --threads 0
  done
  soak_summary $((4 * ${#topologies[@]})) || die "the soak failed" \
    "again: $LAB_COMMAND_LINE soak --seed $seed --minutes $minutes$only" "logs: $LAB_LOGS"
}

# need_number OPTION COUNT VALUE
need_number() {
  need_value "$1" "$2"
  [[ $3 =~ ^[0-9]{1,9}$ ]] || usage_error "$1: not a number: '$3'"
}

# soak_in TOPOLOGY NAME PNICD-ARGUMENTS SECONDS ARGUMENTS...: in a guest of its own, so many seconds with each kind of importer.
# What the guest says goes to stdout; what it reports, into a file of soak_reports; a failure is added to soak_failed.
soak_in() {
  local topology=$1 name=$2 VM_PNICD_ARGS=$3 seconds=$4 status=0
  shift 4
  say "soak: $name, $((2 * seconds)) seconds, $*"
  new_guest "soak-$topology"
  soak_reports+=("$guest_dir/share/soak.json")
  : >"${soak_reports[-1]}"
  printf 'exec bash /src/tests/guest/soak.test.sh --report /share/soak.json --seconds %s' "$seconds" >"$guest_dir/share/job"
  printf ' %q' "$@" >>"$guest_dir/share/job"
  run_in_guest "$topology" $((2 * seconds + 300)) || status=$?
  ((status == 0)) || soak_failed+="${soak_failed:+; }$name: status $status"
}

# soak_summary RUNS: of all reports. Fails unless there are so many runs, and all is as it must be.
soak_summary() {
  awk -v wanted="$1" -v failed="$soak_failed" -f "$LAB_DIR/lib/soak-summary.awk" "${soak_reports[@]}"
}
