# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# topology: no-iommu
# Takes the guest down.
echo c >/proc/sysrq-trigger
sleep 30
