#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch root-ports
# timeout: 120
# pnicd: --break-fence
# The NICs' fence is broken on purpose: the self check that other tests rely on must see it.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

"$programs/revoke_fence" "$@" || fail "status $?"
