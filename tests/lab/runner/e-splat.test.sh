# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# Succeeds, but the kernel found a bug.
echo '<4>WARNING: made up' >/dev/kmsg
