/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands to the kernel with kernel/include/rdma/pnic-abi.h's structs as their tails. */
#ifndef PNIC_PROVIDER_ABI_H
#define PNIC_PROVIDER_ABI_H

#include <infiniband/kern-abi.h>
#include <kernel-abi/pnic-abi.h>
#include <rdma/pnic-abi.h>

DECLARE_DRV_CMD(pnic_alloc_ucontext, IB_USER_VERBS_CMD_GET_CONTEXT, empty,
		pnic_ib_alloc_ucontext_resp);
DECLARE_DRV_CMD(pnic_alloc_pd, IB_USER_VERBS_CMD_ALLOC_PD, empty, pnic_ib_alloc_pd_resp);
DECLARE_DRV_CMD(pnic_create_cq, IB_USER_VERBS_CMD_CREATE_CQ, pnic_ib_create_cq,
		pnic_ib_create_cq_resp);
DECLARE_DRV_CMD(pnic_create_qp, IB_USER_VERBS_CMD_CREATE_QP, pnic_ib_create_qp,
		pnic_ib_create_qp_resp);

#endif
