#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 180
# peermr bench recover: resets under few regions, with both exporters and both kinds of importer, and what it writes;
# peermr bench events: how soon each of its three ways hears of a revoke.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
# shellcheck source=exporter/bind.sh
. /src/tests/guest/exporter/bind.sh

parameter=/sys/module/pnic/parameters/dmabuf_import
target=$LAB_IVSHMEM:$LAB_IVSHMEM_BAR:1M+64K
modprobe dmabuf_watch

# recover CLASS EXPORTER KEYS ARGS...: measures two resets under 1, 4 and 40 regions, more than the target has pages, of
# the KEYS expected, and checks the table and the document.
recover() {
  local class=$1 exporter=$2 keys=$3
  shift 3
  rm -f report.json
  peermr bench recover --target "$target" --regions 1,4,40 --rounds 2 --label short --json report.json "$@" >out 2>&1 ||
    fail "recover, $class, $exporter: status $?: $(cat out)"
  grep -q "Recover (short): importer pnic0 (emulated, $class), path " out || fail "no such head: $(cat out)"
  (($(awk 'length > 120' out | wc -l) == 0)) || fail "lines are longer than 120 columns: $(cat out)"
  python3 - "$class" "$exporter" "$keys" <<'END' || fail "recover, $class, $exporter: the document is wrong"
import json, sys
report = json.load(open("report.json"))
assert report["schema"] == "peermr-bench-recover/1", report["schema"]
assert (report["importer"]["class"], report["importer"]["kind"]) == (sys.argv[1], "emulated"), report["importer"]
assert report["exporter"] == sys.argv[2], report["exporter"]
series = {(one["keys"], one["regions"]): one["microseconds"] for one in report["series"]}
assert sorted(series) == sorted((keys, n) for keys in sys.argv[3].split(",") for n in (1, 4, 40)), sorted(series)
for (keys, regions), us in series.items():
    phases = ("quiesce", "reset", "wait", "register", "library", "write", "after_reset")
    assert sorted(us) == sorted(phases) and all(len(values) == 2 for values in us.values()), us
    for reset in range(2):
        one = {phase: us[phase][reset] for phase in phases}
        assert all(value >= 0 for value in one.values()), one
        assert all(one[phase] > 0 for phase in ("reset", "register", "write")), one
        assert (one["library"] > 0) == (keys != "plain"), one
        parts = one["wait"] + one["register"] + one["library"] + one["write"]
        assert abs(one["after_reset"] - parts) < 1e-3, one
assert {(step["keys"], step["from"], step["to"]) for step in report["growth"]} == {
    (keys, 4, 40) for keys in sys.argv[3].split(",")
}, report["growth"]
END
}

refused() {
  local text=$1 status=0
  shift
  peermr bench "$@" >out 2>&1 || status=$?
  [[ $status == 3 ]] || fail "$*: status $status: $(cat out)"
  grep -q "$text" out || fail "$*: not '$text': $(cat out)"
}

recover faultable mainline plain,stable
grep -q '^No fresh keys' out || fail "it does not say that there are no fresh keys: $(cat out)"
refused 'fresh keys cannot be promised' recover --target "$target" --regions 1 --keys fresh
echo revocable >"$parameter"
trap 'echo faultable >"$parameter"' EXIT
recover revocable mainline plain,stable,fresh

use_exporter "$LAB_IVSHMEM"
trap 'echo faultable >"$parameter"; give_back' EXIT
recover revocable peermr_vfio fresh --keys fresh --monitor
grep -q 'regions with a monitor' out || fail "it does not say that there is a monitor: $(cat out)"
echo faultable >"$parameter"
recover faultable peermr_vfio plain,stable,fresh

# events REVOKES
events() {
  peermr bench events --target "$target" --revokes "$1" --label short --json events.json >out 2>&1 ||
    fail "events: status $?: $(cat out)"
  grep -q 'Events (short): importer pnic0 (emulated, ' out || fail "no such head: $(cat out)"
  python3 - "$1" <<'END' || fail "events: the document is wrong"
import json, sys
report = json.load(open("events.json"))
assert report["schema"] == "peermr-bench-events/1" and report["importer"]["kind"] == "emulated", report
assert [one["way"] for one in report["series"]] == ["watch", "monitor", "queue"], report["series"]
for one in report["series"]:
    values = sorted(one["latencies_ns"])
    assert len(values) == int(sys.argv[1]) and values[0] > 0, one
    assert values[0] <= one["median_ns"] <= one["p99_ns"] <= values[-1] < 10 * 10**9, one
END
}
events 25
echo revocable >"$parameter"
events 5
echo faultable >"$parameter"

[[ $(</sys/module/dmabuf_watch/refcnt) == 0 ]] || fail "a watch is left"
modprobe -r dmabuf_watch
refused 'modprobe dmabuf_watch' events --target "$target"
check_no_buffers
check_no_objects "$LAB_NIC0"
check_self
