# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What --help says.

usage() {
  cat <<END
Usage: $LAB_COMMAND_LINE COMMAND [OPTIONS]

The whole stack on one machine without hardware: a Debian root file system with a
current kernel and QEMU, two emulated RDMA NICs, and guests that boot in seconds.
Everything is built inside that root file system. Needs a Debian machine (x86-64)
and root; installs mmdebstrap there if it is missing, and nothing else.

Commands:
  bench      measure RDMA into the BAR of a VFIO-owned device, over each path
  test       run all tests, or some
  soak       verified traffic under resets, for as long as one likes
  shell      a shell in a guest with everything loaded
  exec       run a command in a guest and return its exit status
  build      build only
  kernel     build a debug kernel, for test --kernel debug
  setup      make the root file system only; every command does so when needed
  versions   what the lab was tested with, and what is here
  clean      remove every cache and build

$LAB_COMMAND_LINE COMMAND --help tells more.

Topologies:
$(usage_topologies)

Environment:
  PEERMR_CACHE     where everything is kept (now: $LAB_CACHE)
  PEERMR_MIRROR    Debian mirror (otherwise the one that this machine's apt uses)
  PEERMR_ACCEL     kvm or tcg (otherwise KVM where it works)

Disk: 1.5 GB for the root file system, up to 0.5 GB for builds. Time: about three
minutes from nothing, on two cores; a guest boots in about five seconds.
END
}

usage_topologies() {
  local topology
  for topology in $(topologies); do
    # shellcheck source=/dev/null
    (. "$LAB_DIR/topologies/$topology" && printf '  %-12s %s; path: %s\n' "$topology" "$topology_title" "$topology_path")
  done
}

usage_setup() {
  cat <<END
Usage: $LAB_COMMAND_LINE setup [--refresh]

Makes the lab's root file system, if it is not there yet.
  --refresh   make it again, with the newest kernel and packages
END
}

usage_build() {
  cat <<END
Usage: $LAB_COMMAND_LINE build

Builds this checkout in the lab's root file system: libraries, tools, tests, the
emulated NIC, the libibverbs provider and the kernel modules.
END
}

usage_kernel() {
  cat <<END
Usage: $LAB_COMMAND_LINE kernel --debug [--refresh]

Builds a kernel that finds bugs (KASAN, UBSAN, lockdep, kmemleak, DMA-API debugging,
fault injection; IOMMUFD, VFIO cdev and VFIO_NOIOMMU too) from the distribution's
$lab_kernel_source and lab/kernel/debug.config, for guests of --kernel debug. It stays in
the cache. About 300 MB to download, 2.5 GB on disk, half an hour on two idle cores;
an interrupted build goes on where it was. Nothing happens when nothing changed.
  --refresh   with the newest source
END
}

usage_test() {
  cat <<END
Usage: $LAB_COMMAND_LINE test [OPTIONS]

Runs the tests. The last line says how many passed, failed and were skipped.
  --label unit|nic|guest   only these (may be repeated)
  --filter RE              only tests whose name matches; guest tests are named
                           guest/TOPOLOGY/NAME, those of the lab itself lab/NAME
  --topology NAME          guest tests in this topology only
  --kernel stock|debug     what guests run (default: stock); debug: guest tests only,
                           with four times the time
  --no-build               use what was built last
END
}

usage_soak() {
  cat <<END
Usage: $LAB_COMMAND_LINE soak [OPTIONS]

Several streams write and read back numbered records, between two NICs and into memory
of three VFIO devices, while these are reset (by their owner and behind its back),
switched off and put to sleep at random moments: half the time with an importer that
takes faults, half with one whose keys die. Connections send numbered messages besides,
a sixth of the time on a wire that loses messages and acknowledgements.
Fails when a write or message that was acknowledged is missing and the application was
not told of a new generation, when a message is taken twice, when an old key is let in,
or when anything is stuck or left. Ends with a table of what was done and found, and
with the same as a line of JSON. 'test' runs a short form.
  --minutes N        for each topology; default 10
  --seed N           what happens to the memory, and when; default: another each time
  --topology NAME    default: ${soak_topologies[*]}, one after the other
  --no-build         use what was built last
END
}

usage_bench() {
  cat <<END
Usage: $LAB_COMMAND_LINE bench [OPTIONS] [ARGUMENTS]
       $LAB_COMMAND_LINE bench revoke|recover [--json DIR] [--topology NAME] [--no-build]
                       [ARGUMENTS]
       $LAB_COMMAND_LINE bench layer [--json DIR] [--repetitions N] [--no-build]

Boots a guest for each path, moves data by RDMA into and out of the BAR of a device
that userspace owns through VFIO, verifies every byte, and prints one table.
  --json FILE      the same figures as JSON
  --compare rxe    also measure the kernel's software RDMA in the same guests
  --no-build       use what was built last
  ARGUMENTS        passed on to 'peermr bench' in the guest

bench revoke: what export, map, revoke and restore cost over each path, with this
project's exporter in alternating pairs with the kernel's own; for up to 4096 buffers,
and for a BAR of 16 GiB against 16 MiB. Takes several minutes.

bench recover: how long a reset of the device keeps regions on its BAR from use, phase
by phase, with up to 4096 regions, both kinds of importer and of keys; and how soon an
application hears of a revoke. Takes several minutes.

bench layer: what the library itself costs: a lease, posting through a region against
ibv_post_send, bringing regions back. No guest and no emulation: plain processes in the
root file system, with the emulated NIC beside them.

  --json DIR       the figures as JSON, into files revoke*.json there; recover*.json and
                   events*.json; lease.json, post.json and recover.json
  --topology NAME  only there (may be repeated; default: ${bench_topologies[*]})
  ARGUMENTS        passed on to 'peermr bench revoke' or 'recover' in the guest
END
}

usage_shell() {
  cat <<END
Usage: $LAB_COMMAND_LINE shell [OPTIONS]

A root shell in a guest, with drivers loaded, devices bound and stock RDMA tools on
the path. /etc/lab.env says which device is which, /src is this checkout, /share is
handed back. Leave it with exit.
  --topology NAME   default: switch
  --kernel NAME     stock (default) or debug
  --no-build        use what was built last
END
}

usage_exec() {
  cat <<END
Usage: $LAB_COMMAND_LINE exec [OPTIONS] [--] COMMAND [ARGUMENTS]

Runs COMMAND in a guest, with its output here, and returns its exit status; 125 when
the guest died, hung, or its kernel reported a bug. /src is this checkout.
  --topology NAME       default: switch
  --kernel NAME         stock (default) or debug, see kernel --help
  --timeout SECONDS     for the whole guest; default 300, four times as long with debug
  --share DIR           copy what COMMAND leaves in /share to DIR
  --pnicd-args ARGS     more arguments for the emulated NICs
  --memory SIZE         of the first memory device's BAR 2; default 64M
  --monitor             let the guest talk to its emulator (tests/guest/lib/qmp.py)
  --no-build            use what was built last
END
}

usage_versions() {
  cat <<END
Usage: $LAB_COMMAND_LINE versions

Versions that the lab was tested with, beside those found.
END
}

usage_clean() {
  cat <<END
Usage: $LAB_COMMAND_LINE clean

Removes everything that the lab keeps: $LAB_CACHE
END
}
