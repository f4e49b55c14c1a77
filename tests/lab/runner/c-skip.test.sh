# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# Cannot run here.
echo "no such hardware"
exit 77
