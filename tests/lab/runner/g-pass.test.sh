# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# What comes after all of that still runs.
exit 0
