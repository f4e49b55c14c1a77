# SPDX-License-Identifier: BSD-2-Clause
#
# Sums what soaks report: a table to be read, and one line of JSON, the last one, to be parsed.
#
#   awk -v wanted=RUNS -v failed="what failed" -f soak-summary.awk REPORT...
#
# A report has a line of JSON for each run of the program, and one for what is left in its guest. Exits with status 1 unless
# all runs are there, nothing failed, and all is 0 that must be.

BEGIN {
  bad_keys = split("missing twice wrong intruded stuck unexplained failures files_left buffers_left objects_left impossible_dma", bad)
  means["missing"] = "acknowledged, not there, and nobody was told of a loss"
  means["twice"] = "messages that were taken twice"
  means["wrong"] = "messages that nobody sent"
  means["intruded"] = "old keys that were let in"
  means["stuck"] = "work or recoveries without an end"
  means["unexplained"] = "errors that no revoke explains"
  means["failures"] = "calls of the devices' owner that failed"
  means["files_left"] = "file descriptors that are left"
  means["buffers_left"] = "dma-bufs that somebody still holds"
  means["objects_left"] = "MRs, QPs, CQs, PDs and contexts that are left"
  means["impossible_dma"] = "DMA after an invalidate, or to what is not mapped"
}

/^\{/ {
  if (/"missing": /) runs++
  if (/"buffers_left": /) guests++
  for (line = $0; match(line, /"[a-z_]+": [0-9]+/); line = substr(line, RSTART + RLENGTH)) {
    split(substr(line, RSTART + 1, RLENGTH - 1), pair, "\": ")
    if (!(pair[1] in sum)) keys[++key_count] = pair[1]
    sum[pair[1]] += pair[2]
  }
}

# parts(NAMES): "reads 3, writes 4"
function parts(names, name, count, i, text) {
  count = split(names, name)
  for (i = 1; i <= count; i++) text = text (i > 1 ? ", " : "") sprintf("%s %.0f", name[i], sum[name[i]])
  return text
}

function row(name, value, text) { printf "  %-14s %12.0f   %s\n", name, value, text }

END {
  kinds = "reset others_reset decode sleep quiesce"
  kind_count = split(kinds, kind)
  for (i = 1; i <= kind_count; i++) taken += sum[kind[i]]
  printf "\n"
  row("taken away", taken, parts(kinds))
  row("invalidates", sum["invalidates"], parts("generations reconnections"))
  row("operations", sum["operations"], parts("writes reads messages places"))
  row("verified", sum["verified"], "records, when read back or in the memory itself")
  row("intrusions", sum["intrusions"], "attempts with old keys under fresh ones")
  printf "These must be 0:\n"
  for (i = 1; i <= bad_keys; i++) {
    row(bad[i], sum[bad[i]], means[bad[i]])
    total += sum[bad[i]]
  }
  if (runs != wanted) failed = failed (failed ? "; " : "") sprintf("%d of %d runs came to their end", runs, wanted)
  if (2 * guests != wanted) failed = failed (failed ? "; " : "") "what is left was not looked for everywhere"
  passed = total == 0 && !failed
  printf "%s%s\n", passed ? "passed" : "FAILED", failed ? ": " failed : ""
  printf "{\"result\": \"%s\", \"runs\": %d", passed ? "passed" : "failed", runs
  for (i = 1; i <= key_count; i++) printf ", \"%s\": %.0f", keys[i], sum[keys[i]]
  printf "}\n"
  exit !passed
}
