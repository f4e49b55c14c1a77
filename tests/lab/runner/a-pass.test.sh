# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# Passes, in an empty directory of its own.
# timeout: 30
[[ -z $(ls -A) && $LAB_TOPOLOGY == no-iommu ]]
