# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The job of an interactive guest.
printf '\nTopology %s. NICs %s %s, NVMe (BAR %s) %s, ivshmem (BAR %s) %s.\n' "$LAB_TOPOLOGY" "$LAB_NIC0" "$LAB_NIC1" \
  "$LAB_PMR_BAR" "$LAB_NVME" "$LAB_IVSHMEM_BAR" "$LAB_IVSHMEM"
printf '/src is the checkout; exit leaves.\n\n'
cd /root || exit
PS1="lab:$LAB_TOPOLOGY \\w# " bash --norc -i
