#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 180
# boot: own
# A fatal error of the link below a VFIO device that a peer writes into: the kernel resets the link. Mainline does not notice;
# last, because what the NIC does then its check of itself may count, and nothing clears that again.
# shellcheck source-path=SCRIPTDIR source=events/lib.sh
. /src/tests/guest/events/lib.sh

bind_all peermr_vfio
"$programs/exporter_events" "$@" mem0 "AER fatal, decode on" || fail "peermr_vfio: status $?"
check_self
bind_all vfio-pci
"$programs/exporter_events" "$@" mem0 "AER fatal, decode on" || fail "vfio-pci: status $?"
