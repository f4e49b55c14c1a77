# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A wrong command line is refused at once, with status 2 and a word on what is wrong.
set -uo pipefail
failed=0

refused() { # refused PATTERN ARGUMENTS...
  local pattern=$1 out status=0
  shift
  out=$("$LAB_RUN" "$@" 2>&1 </dev/null) || status=$?
  if [[ $status != 2 || ! $out =~ $pattern ]]; then
    printf 'lab/run %s: status %s, output "%s", expected 2 and "%s"\n' "$*" "$status" "$out" "$pattern"
    failed=1
  fi
}

refused 'Usage:'
refused "unknown command 'brew'" brew
refused "no topology 'moebius'; there are: .*switch" exec --topology moebius -- true
refused "no topology '../packages'" test --topology ../packages
refused 'wants a command' exec
refused 'needs a value' exec --topology
refused "wants seconds, not 'soon'" exec --timeout soon -- true
refused "no directory '/nowhere'" exec --share /nowhere -- true
refused "no kernel 'best'; there are: stock debug" test --kernel best
refused "say --debug" kernel
refused "no label 'unity'" test --label unity
refused 'not a regular expression' test --filter '('
refused 'only rxe' bench --compare mlx5
refused 'no directory' bench recover --json /nowhere
refused 'no topology' bench revoke --topology nowhere
refused 'wants a number' bench layer --repetitions many
refused "cannot write '/nowhere/x.json'" bench --json /nowhere/x.json
refused 'wants a terminal' shell
refused "takes no arguments" clean --all

for command in bench test soak shell exec build kernel setup versions clean; do
  if ! "$LAB_RUN" "$command" --help | grep -q "^Usage: .* $command"; then
    echo "no help for $command"
    failed=1
  fi
done
exit "$failed"
