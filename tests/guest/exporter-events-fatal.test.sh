#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 180
# boot: own
# A fatal error of the link below a VFIO device that a peer writes into: the kernel resets the link.
# shellcheck source-path=SCRIPTDIR source=events/lib.sh
. /src/tests/guest/events/lib.sh

bind_all peermr_vfio
"$programs/exporter_events" "$@" mem0 "AER fatal, decode on" || fail "peermr_vfio: status $?"
check_self
bind_all vfio-pci
