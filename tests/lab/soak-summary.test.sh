# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The summary of soaks adds up, ends with JSON, and passes only what is whole and has nothing but 0 where 0 must be.
set -uo pipefail
failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# report MISSING: of one guest with two runs.
report() {
  printf '{"importer": "%s", "missing": %d, "twice": 0, "operations": 3000000000, "reset": 2, "decode": 3}\n' \
    faultable "$1" revocable 0
  echo '{"buffers_left": 0, "objects_left": 0, "impossible_dma": 0}'
}

# expect STATUS PATTERN RUNS FAILED REPORT...: PATTERN is of the last line.
expect() {
  local wanted=$1 pattern=$2 runs=$3 problem=$4 out status=0
  shift 4
  out=$(awk -v wanted="$runs" -v failed="$problem" -f "${LAB_RUN%/*}/lib/soak-summary.awk" "$@") || status=$?
  if [[ $status != "$wanted" || ! ${out##*$'\n'} =~ $pattern ]]; then
    printf 'summary of %s: status %s, expected %s; last line, expected to match "%s":\n%s\n' "$*" "$status" "$wanted" "$pattern" "$out"
    failed=1
  fi
}

report 0 >"$dir/good"
report 1 >"$dir/bad"
head -n 1 "$dir/good" >"$dir/half"
: >"$dir/empty"
expect 0 '^\{"result": "passed", "runs": 4, "missing": 0, .*"operations": 12000000000, "reset": 8, "decode": 12, .*\}$' \
  4 '' "$dir/good" "$dir/good"
expect 1 '"result": "failed", "runs": 4, "missing": 1, ' 4 '' "$dir/good" "$dir/bad"
expect 1 '"result": "failed", "runs": 3, ' 4 '' "$dir/good" "$dir/half"
expect 1 '"result": "failed", "runs": 0' 2 '' "$dir/empty"
expect 1 '"result": "failed", "runs": 2, ' 2 'topology switch, status 125' "$dir/good"
exit "$failed"
