# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# Fails, with a word on it.
echo "this is the reason"
exit 3
