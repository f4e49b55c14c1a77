# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The runner of guest tests: what each test came to is told, and one that hangs, splats or takes the guest down harms
# no other. What it runs is in runner/.
set -uo pipefail
failed=0

out=$(LAB_GUEST_TESTS=tests/lab/runner "$LAB_RUN" test --no-build --label guest --topology no-iommu 2>&1)
status=$?

expect() { # expect PATTERN: a line of the output
  grep -qE -- "$1" <<<"$out" && return
  echo "no line like '$1'"
  failed=1
}

[[ $status != 0 ]] || { echo "status 0 in spite of failures"; failed=1; }
expect '^PASS guest/no-iommu/a-pass \('
expect '^FAIL guest/no-iommu/b-fail \(status 3'
expect '\| this is the reason$'
expect '^SKIP guest/no-iommu/c-skip \(no such hardware\)$'
expect '^FAIL guest/no-iommu/d-hang \(killed at its time limit'
expect "^FAIL guest/no-iommu/e-splat \(.*kernel reported a bug"
expect 'WARNING: made up'
expect '^FAIL guest/no-iommu/f-die \(the guest died'
expect '^PASS guest/no-iommu/g-pass \('
[[ $(tail -n 1 <<<"$out") == "2 passed, 4 failed, 1 skipped" ]] || expect 'the last line: 2 passed, 4 failed, 1 skipped'
((!failed)) || printf 'It said:\n%s\n' "$out"
exit "$failed"
