#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The README's example makes a region, and says what is wrong when it is given no dma-buf.
set -euo pipefail
native=$1 example=$2
output=$("$native" --dma-buf 64K sh -c "exec '$example' \$PEERMR_NATIVE_DMA_BUF")
echo "$output"
[[ $output =~ ^rkey\ 0x[0-9a-f]+,\ generation\ [0-9]+$ ]]
if output=$("$native" sh -c "exec '$example' 0 </dev/null"); then
  echo "a region on /dev/null: $output"
  exit 1
fi
echo "$output"
[[ $output == *"not a dma-buf"* ]]
