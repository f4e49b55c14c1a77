# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Containment: whatever the lab runs lives in mount and PID namespaces that die with us, in any way we may die. To be
# called through child or step: both replace the (sub)shell that they run in.

# Our own descriptors (terminal, locks) stay with us: a lock must not outlive us, and mmdebstrap needs low numbers free.
close_descriptors() { exec 3<&- 4>&- 5<&- 6<&- 7>&- 8>&- 9>&-; }

# in_namespaces CMD...: with this machine's network.
in_namespaces() {
  close_descriptors
  exec setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --propagation private --mount-proc "$@"
}

# in_rootfs [SOURCE TARGET ro|rw]... -- CMD...: inside the lab's root file system, without any network.
in_rootfs() {
  close_descriptors
  exec setpriv --pdeathsig KILL unshare --mount --pid --net --fork --kill-child=KILL --propagation private \
    "$BASH" "$LAB_DIR/lib/enter.sh" "$LAB_ROOTFS" "$@"
}
