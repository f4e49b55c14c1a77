# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# End-to-end tests: tests/guest/NAME.test.sh, bash scripts that run as root in a booted guest. Comments among a test's
# first 20 lines say how:
#
#   # topology: switch root-ports   where it runs, once in each (default: switch)
#   # timeout: 60                   seconds, after which it is killed and has failed (default: 60); LAB_TIME_SCALE times as
#                                   many on the debug kernel, which is slower
#   # boot: own                     not in the guest that others share
#   # pnicd: --break-fence          more arguments for the device; implies a guest of its own
#   # memory: 16G                   size of the first memory device's BAR 2 (default: 64M); a guest of its own
#
# A test starts in an empty directory, with the variables of /etc/lab.env (guest/prepare.sh); /src is the checkout,
# programs built for tests are in /usr/libexec/peermr/tests. Its exit status: 0 passed, 77 skipped with the last line of
# output as the reason, anything else failed. A test fails as well when the guest's kernel logs a bug while it runs, when
# the guest dies, or when the device does; the tests after it get a new guest. On the debug kernel a leak that is found at the
# guest's end is a failure too, of guest/TOPOLOGY/end.

# The tests of this runner have tests of their own for it to run (tests/lab/runner.test.sh).
guest_tests=${LAB_GUEST_TESTS:-tests/guest}

# header FILE KEY: the value of a test's header line.
header() { sed -n "1,20s/^# $2: *//p" "$LAB_SOURCE/$guest_tests/$1" | head -n 1; }

# test_timeout FILE: in seconds, for the kernel that guests run.
test_timeout() {
  local timeout
  timeout=$(header "$1" timeout)
  echo $((${timeout:-60} * LAB_TIME_SCALE))
}

# run_guest_tests FILTER TOPOLOGY: those whose "guest/TOPOLOGY/NAME" matches FILTER; TOPOLOGY may be empty for all.
run_guest_tests() {
  local filter=$1 only=$2 topology file shared own
  for topology in $(topologies); do
    [[ -z $only || $only == "$topology" ]] || continue
    shared=()
    own=()
    for file in "$LAB_SOURCE/$guest_tests"/*.test.sh; do
      [[ -e $file ]] || continue
      file=${file##*/}
      guest_test_selected "$file" "$topology" "$filter" || continue
      if [[ $(header "$file" boot) == own || -n $(header "$file" pnicd)$(header "$file" memory) ]]; then
        own+=("$file")
      else
        shared+=("$file")
      fi
    done
    guest_batch "$topology" "" "" "${shared[@]}"
    for file in "${own[@]}"; do
      guest_batch "$topology" "$(header "$file" pnicd)" "$(header "$file" memory)" "$file"
    done
  done
}

guest_test_selected() {
  local file=$1 topology=$2 filter=$3 where
  where=$(header "$file" topology)
  [[ " ${where:-switch} " == *" $topology "* ]] || return 1
  [[ -z $filter || guest/$topology/${file%.test.sh} =~ $filter ]]
}

# guest_batch TOPOLOGY PNICD-ARGUMENTS MEMORY FILE...: runs the tests in as few guests as it takes. They may talk to their
# emulator's monitor.
guest_batch() {
  local topology=$1 VM_PNICD_ARGS=$2 VM_MEMORY=$3 VM_MONITOR=1
  shift 3
  batch_left=("$@")
  while ((${#batch_left[@]})); do
    one_guest "$topology"
  done
}

# one_guest TOPOLOGY: runs tests of batch_left in a guest, until they are done or the guest is of no more use. Takes at
# least one out of batch_left.
one_guest() {
  local topology=$1 file total=60 timeout before=${#batch_left[@]}
  batch_spoiled=0 # a test was found to have broken this guest
  new_guest "test-$topology"
  for file in "${batch_left[@]}"; do
    timeout=$(test_timeout "$file")
    printf '%s %d\n' "$file" "$timeout"
    total=$((total + timeout))
  done >"$guest_dir/share/tests"
  printf 'exec bash /src/lab/guest/tests.sh %q' "/src/$guest_tests" >"$guest_dir/share/job"
  : >"$guest_dir/share/progress"
  say "booting a guest: $topology, $LAB_ACCEL${LAB_DEBUG_KERNEL:+, debug kernel}${VM_PNICD_ARGS:+, pnicd $VM_PNICD_ARGS}${VM_MEMORY:+, memory $VM_MEMORY}"
  exec 4>"$guest_dir/console.log"
  boot_guest "$topology" $((total + 240 * LAB_TIME_SCALE))
  exec 4>&1
  watch_guest "$topology"
  if ((${#batch_left[@]} == before)); then
    # It never came to the first test.
    test_result FAIL "guest/$topology/${batch_left[0]%.test.sh}" "${guest_problem:-the guest ended before it}"
    batch_left=("${batch_left[@]:1}")
  fi
}

# watch_guest TOPOLOGY: follows the guest's progress file to the guest's end, with a time limit for each step.
watch_guest() {
  local topology=$1 line progress current='' deadline=$((SECONDS + 240 * LAB_TIME_SCALE)) ended=0 result=''
  exec {progress}<"$guest_dir/share/progress"
  while :; do
    # Alive before reading: what a guest wrote last must not be missed.
    kill -0 "$guest_pid" 2>/dev/null || ended=1
    while read -r line <&"$progress"; do
      # shellcheck disable=SC2086 # fields
      set -- $line
      if [[ $1 == start ]]; then
        current=$2
        deadline=$((SECONDS + $(test_timeout "$current") + 20 * LAB_TIME_SCALE))
      else
        finished_test "$topology" "$2" "$3" "$4"
        current=
        deadline=$((SECONDS + 30 * LAB_TIME_SCALE))
      fi
    done
    ((!ended)) || break
    if [[ -n $(guest_splats) ]]; then
      sleep 1 # the kernel finishes its report, and a panic ends the guest
      kill -0 "$guest_pid" 2>/dev/null || continue
      result="the guest's kernel reported a bug"
      break
    fi
    if ((SECONDS > deadline)); then
      result="the guest hangs"
      break
    fi
    sleep 0.3
  done
  exec {progress}<&-
  end_guest "$topology" "$current" "$result"
}

# finished_test TOPOLOGY FILE STATUS TENTHS: one that came to an end by itself.
finished_test() {
  local name=guest/$1/${2%.test.sh} log=$guest_dir/share/out/$2.log time
  time="$(($4 / 10)).$(($4 % 10)) s"
  batch_left=("${batch_left[@]:1}")
  if [[ -n $(guest_splats) ]]; then
    batch_spoiled=1
    test_result FAIL "$name" "status $3, but the guest's kernel reported a bug, $time"
    guest_splats | sed 's/^/  kernel | /'
    show_failure "$log"
    return 0
  fi
  case $3 in
    0) test_result PASS "$name" "$time" ;;
    77) test_result SKIP "$name" "$(tail -n 1 "$log")" ;;
    124 | 137) test_result FAIL "$name" "killed at its time limit, $time" ;;
    *) test_result FAIL "$name" "status $3, $time" ;;
  esac
  [[ $3 == 0 || $3 == 77 ]] || show_failure "$log"
}

# end_guest TOPOLOGY CURRENT RESULT: the guest is over, or has to be: RESULT says why. CURRENT did not finish.
end_guest() {
  local topology=$1 current=$2 result=$3
  if [[ -n $result ]]; then
    kill_guest
    guest_problem=$result
  else
    wait_guest
    guest_verdict
  fi
  [[ -n $guest_problem ]] || return 0
  if [[ -n $current ]] && ((batch_spoiled)); then
    : # It began before we saw that the guest is of no more use: the next guest runs it.
  elif [[ -n $current ]]; then
    test_result FAIL "guest/$topology/${current%.test.sh}" "$guest_problem"
    show_failure "$guest_dir/share/out/$current.log" 2>/dev/null || true
    batch_left=("${batch_left[@]:1}")
  elif ((!batch_spoiled)) && [[ -s $guest_dir/share/progress ]]; then
    # After the last test, or between two. (Before the first, one_guest says it.)
    test_result FAIL "guest/$topology/end" "$guest_problem"
  fi
  report_guest_problem 2>&1
}
