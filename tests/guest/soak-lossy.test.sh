#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch
# pnicd: --lose 100
# timeout: 90
# The soak's connections on a wire that loses messages and acknowledgements: a message is lost, or was taken and its sender
# does not know. Neither may be missing in the end, or be taken twice. (Streams without connections have nobody who repeats it.)
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

bash /src/tests/guest/soak.test.sh --seconds $((5 * LAB_TIME_SCALE)) --threads 0 --connections 4 | tee out
while read -r reconnections; do
  ((reconnections >= 5)) || fail "$reconnections reconnections: the wire did not lose anything"
done < <(sed -n 's/.*"reconnections": \([0-9]*\).*/\1/p' out)
