#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 400
# Whatever takes a device's memory away while a peer writes into it: what importers are told, what
# traffic and mappings see, and what is left; for our exporter and for mainline's. With
# arguments: those of exporter_events, for both (--measure nvme "sysfs reset").
# shellcheck source-path=SCRIPTDIR source=events/lib.sh
. /src/tests/guest/events/lib.sh

status=0
for driver in peermr_vfio vfio-pci; do
  bind_all "$driver"
  if (($#)); then
    "$programs/exporter_events" "$@" || status=$?
  else
    "$programs/exporter_events" nvme || status=$?
    "$programs/exporter_events" mem0 || status=$?
  fi
done
end_events
