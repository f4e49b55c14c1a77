#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# pnicd: --break-fence
# timeout: 60
# A device whose invalidation isn't a fence must be found out by its own check; otherwise that check proves nothing.
# shellcheck source-path=SCRIPTDIR source=pnic/lib.sh
. /src/tests/guest/pnic/lib.sh
export LAB_NIC0 LAB_IVSHMEM LAB_IVSHMEM_BAR

"$programs/pnic_dmabuf" --gtest_filter=DmaBufMr.RevokesUnderTrafficLoseNothing >log && fail "nobody noticed"
grep -q 'dma_after_invalidate' log || {
  cat log
  fail "the test failed for another reason"
}
(($(counter "$LAB_NIC0" dma_after_invalidate) > 0)) || fail "dma_after_invalidate is 0"
