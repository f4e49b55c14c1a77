# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# For guest tests of what only the debug kernel can do. Sourced.

# need_debug_kernel OPTION...: ends the test as skipped when the guest's kernel was built without one of these options.
need_debug_kernel() {
  local option config
  config=$(zcat /proc/config.gz 2>/dev/null) || true
  for option in "$@"; do
    ! grep -q "^CONFIG_$option=[ym]" <<<"$config" || continue
    echo "the kernel has no $option: lab/run test --kernel debug"
    exit 77
  done
}
