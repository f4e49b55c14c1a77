# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# Does not end.
# timeout: 3
trap '' TERM
while :; do sleep 1; done
