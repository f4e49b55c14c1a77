#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the micro benchmarks say: medians of their repetitions, and what is compared.

summary.py DIR: reads lease.json, post.json and recover.json there, which bench/run wrote.
"""

import json
import math
import os
import statistics
import sys


def read(directory, name):
    """All repetitions of each benchmark: name -> list of (cpu ns, real ns)."""
    unit_ns = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    with open(os.path.join(directory, name + ".json"), encoding="utf-8") as file:
        report = json.load(file)
    found = {}
    for run in report["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        scale = unit_ns[run["time_unit"]]
        times = (run["cpu_time"] * scale, run["real_time"] * scale)
        found.setdefault(run["run_name"], []).append(times)
    return found


def interval(values):
    """An interval that holds the true median with at least 95 %, by order statistics."""
    values = sorted(values)
    count = len(values)
    cut, at_most = 0, 0.5**count
    while 2 * (cut + 1) < count:
        at_most += math.comb(count, cut + 1) * 0.5**count
        if at_most > 0.025:
            break
        cut += 1
    return values[cut], values[count - 1 - cut]


def cpu(runs):
    return [times[0] for times in runs]


def real(runs):
    return [times[1] for times in runs]


def figure(values):
    low, high = interval(values)
    return f"{statistics.median(values):.2f} [{low:.2f}, {high:.2f}]"


def show_leases(directory):
    runs = read(directory, "lease")
    print("A lease: enter, read a key, leave. ns of processor time, median and its 95 % interval:")
    for name, times in sorted(runs.items()):
        print(f"  {name:<28} {figure(cpu(times))}")


def show_posts(directory):
    runs = read(directory, "post")
    print("\nPosting RDMA writes. ns for a list under one lease:")
    for count in (1, 16):
        plain = real(runs[f"plain/{count}/manual_time"])
        region = real(runs[f"through_a_region/{count}/manual_time"])
        more = statistics.median(region) - statistics.median(plain)
        share = 100 * more / statistics.median(plain)
        print(f"  list of {count:<2}  ibv_post_send {figure(plain)}, through a region {figure(region)}:")
        print(f"              {more:+.2f} ns, {share:+.2f} %")


def show_recovery(directory):
    runs = read(directory, "recover")
    print("\nBringing regions back, the device answering at once. us for all together:")
    for count in (64, 512, 4096):
        all_of_it = statistics.median(real(runs[f"all_regions/{count}/real_time"])) / 1e3
        probes = statistics.median(real(runs[f"only_their_probes/{count}/real_time"])) / 1e3
        print(
            f"  {count:>4} regions  {all_of_it:.0f}, of that the device's probes {probes:.0f}:"
            f" the library {all_of_it - probes:+.0f}"
        )


def main():
    directory = sys.argv[1]
    show_leases(directory)
    show_posts(directory)
    show_recovery(directory)


if __name__ == "__main__":
    main()
