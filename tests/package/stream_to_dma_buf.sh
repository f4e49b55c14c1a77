#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The example in C moves its records and finds them again, and says what is wrong when it is given no dma-buf.
set -euo pipefail
native=$1 example=$2
output=$("$native" --dma-buf 64K sh -c "exec '$example' \$PEERMR_NATIVE_DMA_BUF pnic0 pnic1")
echo "$output"
[[ $output == *"20480 records written and read back" ]]
if output=$("$native" sh -c "exec '$example' 0 pnic0 pnic1 </dev/null" 2>&1); then
  echo "a region on /dev/null: $output"
  exit 1
fi
echo "$output"
[[ $output == *"not a dma-buf"* ]]
