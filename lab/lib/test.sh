# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lab/run test: all tests, one line for each, and one with the sum.

tests_passed=0
tests_failed=0
tests_skipped=0

# test_result PASS|FAIL|SKIP NAME [REMARK]: counts and prints.
test_result() {
  case $1 in
    PASS) tests_passed=$((tests_passed + 1)) ;;
    FAIL) tests_failed=$((tests_failed + 1)) ;;
    SKIP) tests_skipped=$((tests_skipped + 1)) ;;
  esac
  printf '%s %s%s\n' "$1" "$2" "${3:+ ($3)}"
}

# run_ctest LABEL FILTER: the tests that need no guest.
run_ctest() {
  local label=$1 filter=$2 xml=$LAB_BUILD/ctest-$1.xml log=$LAB_LOGS/ctest-$1.log status=0
  take_lock 8 "$LAB_BUILD.lock" -x "another run is building this checkout"
  rm -f "$xml"
  say "running the $label tests"
  child in_build ctest --test-dir /build/cmake --label-regex "^$label\$" ${filter:+--tests-regex "$filter"} \
    --parallel "$(nproc)" --timeout 300 --output-on-failure --output-junit "/build/${xml##*/}" \
    >"$log" 2>&1 || status=$?
  if [[ -e $xml ]]; then
    count_ctest "$label" "$xml" "$status"
    if ((status)); then
      show_failure "$log"
      printf '  whole log: %s\n' "$log"
    fi
  else
    tail -n 20 "$log" | sed 's/^/  | /'
    test_result FAIL "$label" "ctest did not run, status $status; whole log: $log"
  fi
  drop_lock 8
}

# count_ctest LABEL XML STATUS: ctest's own sums, from the head of its report.
count_ctest() {
  local head tests failed skipped
  head=$(tr '\n\t' '  ' <"$2" | sed 's/.*<testsuite \([^>]*\)>.*/\1/;q')
  tests=$(attribute tests "$head")
  failed=$(attribute failures "$head")
  skipped=$(($(attribute skipped "$head") + $(attribute disabled "$head")))
  if ((tests == 0)); then
    [[ -n $tests_filter ]] || test_result FAIL "$1" "no such tests: was anything left out of the build?"
    return 0
  fi
  if ((failed == 0 && $3 != 0)); then failed=1 tests=$((tests + 1)); fi
  tests_passed=$((tests_passed + tests - failed - skipped))
  tests_failed=$((tests_failed + failed))
  tests_skipped=$((tests_skipped + skipped))
  printf '%s: %d passed, %d failed, %d skipped\n' "$1" $((tests - failed - skipped)) "$failed" "$skipped"
}

attribute() { sed -n "s/.*\b$1=\"\([0-9]*\)\".*/\1/p" <<<"$2" | grep . || echo 0; }

# show_failure LOG: what it says of failures, then its last lines.
show_failure() {
  awk -v tail=20 '
    { line[NR] = $0 }
    /: Failure$/ { until = NR + 8 }
    NR <= until { said[NR] }
    END {
      for (i = 1; i <= NR; i++) {
        if (i <= NR - tail && (!(i in said) || ++shown > 60)) { gap = 1; continue }
        if (gap) print "  | ..."
        gap = 0
        print "  | " line[i]
      }
    }' "$1"
}

# run_lab_tests FILTER: the lab's own behaviour, seen from outside: tests/lab/*.test.sh, on this machine.
run_lab_tests() {
  local filter=$1 file name status log since
  for file in "$LAB_SOURCE"/tests/lab/*.test.sh; do
    name=lab/$(basename "$file" .test.sh)
    [[ -e $file && (-z $filter || $name =~ $filter) ]] || continue
    log=$LAB_LOGS/${name//\//-}.log
    since=$(now_us)
    status=0
    LAB_RUN="$LAB_DIR/run" child timeout --foreground -k 10 600 bash "$file" >"$log" 2>&1 || status=$?
    case $status in
      0) test_result PASS "$name" "$(elapsed "$since") s" ;;
      77) test_result SKIP "$name" "$(tail -n 1 "$log")" ;;
      *)
        test_result FAIL "$name" "status $status, $(elapsed "$since") s"
        show_failure "$log"
        ;;
    esac
  done
}

# run_tests LABELS FILTER TOPOLOGY: LABELS is a list out of unit, nic, guest. Fails if any test failed.
run_tests() {
  local labels=$1 topology=$3 label
  tests_filter=$2
  for label in unit nic; do
    [[ " $labels " != *" $label "* ]] || run_ctest "$label" "$tests_filter"
  done
  if [[ " $labels " == *" guest "* ]]; then
    run_guest_tests "$tests_filter" "$topology"
    # Those boot guests of their own, with the stock kernel.
    [[ -n $topology || -n $LAB_DEBUG_KERNEL ]] || run_lab_tests "$tests_filter"
  fi
  if ((tests_passed + tests_failed + tests_skipped == 0)); then
    test_result FAIL "selection" "no test matches"
  fi
  printf '%d passed, %d failed, %d skipped\n' "$tests_passed" "$tests_failed" "$tests_skipped"
  ((tests_failed == 0))
}
