#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: switch
# pnicd: --break-fence
# timeout: 90
# With a fence that is none, the soak must fail: otherwise it proves nothing.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh

if (bash /src/tests/guest/soak.test.sh --seconds 10) >log 2>&1; then fail "nobody noticed"; fi
grep -q 'FAILED: .*dma_after_invalidate is [1-9]' log || {
  cat log
  fail "the soak failed for another reason"
}
