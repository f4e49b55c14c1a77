// SPDX-License-Identifier: GPL-2.0-only
/* The ib_device: what it can do, its one port, protection domains, the table of operations. */

#include <rdma/ib_mad.h>

#include "pnic_verbs.h"

u32 pnic_access_flags(int ib_access)
{
	return (ib_access & IB_ACCESS_LOCAL_WRITE ? PNIC_ACCESS_LOCAL_WRITE : 0) |
	       (ib_access & IB_ACCESS_REMOTE_WRITE ? PNIC_ACCESS_REMOTE_WRITE : 0) |
	       (ib_access & IB_ACCESS_REMOTE_READ ? PNIC_ACCESS_REMOTE_READ : 0) |
	       (ib_access & IB_ACCESS_REMOTE_ATOMIC ? PNIC_ACCESS_REMOTE_ATOMIC : 0);
}

static int pnic_query_device(struct ib_device *ibdev, struct ib_device_attr *attr,
			     struct ib_udata *udata)
{
	const struct pnic_caps *caps = &to_pnic(ibdev)->caps;
	struct pci_dev *pdev = to_pnic(ibdev)->pdev;
	int err;

	err = ib_no_udata_io(udata);
	if (err)
		return err;
	memset(attr, 0, sizeof(*attr));
	attr->fw_ver = caps->fw_version;
	attr->sys_image_guid = ibdev->node_guid;
	attr->max_mr_size = caps->max_mr_size;
	attr->page_size_cap = GENMASK_ULL(PNIC_PAGE_SHIFT_MAX, PNIC_PAGE_SHIFT_MIN);
	attr->vendor_id = pdev->vendor;
	attr->vendor_part_id = pdev->device;
	attr->hw_ver = pdev->revision;
	attr->max_qp = caps->max_qp;
	attr->max_qp_wr = caps->max_qp_wr;
	attr->device_cap_flags = IB_DEVICE_RC_RNR_NAK_GEN | IB_DEVICE_PORT_ACTIVE_EVENT;
	attr->max_send_sge = caps->max_sge;
	attr->max_recv_sge = caps->max_sge;
	attr->max_sge_rd = caps->max_sge;
	attr->max_cq = caps->max_cq;
	attr->max_cqe = caps->max_cqe;
	attr->max_mr = caps->max_mr;
	attr->max_pd = caps->max_pd;
	attr->max_qp_rd_atom = caps->max_rd_atomic;
	attr->max_qp_init_rd_atom = caps->max_rd_atomic;
	attr->max_res_rd_atom = min_t(u64, (u64)caps->max_rd_atomic * caps->max_qp, INT_MAX);
	attr->atomic_cap = IB_ATOMIC_NONE;
	attr->max_pkeys = 1;
	/* CQEs carry the device's clock in nanoseconds. */
	attr->timestamp_mask = U64_MAX;
	attr->hca_core_clock = 1000000;
	return 0;
}

static int pnic_query_port(struct ib_device *ibdev, u32 port, struct ib_port_attr *attr)
{
	const struct pnic_caps *caps = &to_pnic(ibdev)->caps;
	bool active = READ_ONCE(caps->port_state) == PNIC_PORT_ACTIVE;

	attr->state = active ? IB_PORT_ACTIVE : IB_PORT_DOWN;
	attr->phys_state = active ? IB_PORT_PHYS_STATE_LINK_UP : IB_PORT_PHYS_STATE_DISABLED;
	attr->max_mtu = caps->max_mtu;
	attr->active_mtu = caps->active_mtu;
	attr->gid_tbl_len = 1;
	attr->pkey_tbl_len = 1;
	attr->max_msg_sz = caps->max_msg_size;
	attr->lid = caps->lid;
	attr->max_vl_num = 1;
	/* There is no line, the wire is as fast as memory; but tools want to show one. */
	attr->active_width = IB_WIDTH_4X;
	attr->active_speed = IB_SPEED_EDR;
	return 0;
}

static int pnic_get_port_immutable(struct ib_device *ibdev, u32 port,
				   struct ib_port_immutable *immutable)
{
	/* No MADs and no CM: peers exchange their queue pairs by other means. */
	immutable->core_cap_flags = RDMA_CORE_CAP_PROT_IB;
	immutable->gid_tbl_len = 1;
	immutable->pkey_tbl_len = 1;
	return 0;
}

static enum rdma_link_layer pnic_get_link_layer(struct ib_device *ibdev, u32 port)
{
	return IB_LINK_LAYER_INFINIBAND;
}

static int pnic_query_gid(struct ib_device *ibdev, u32 port, int index, union ib_gid *gid)
{
	if (index)
		return -EINVAL;
	memcpy(gid->raw, to_pnic(ibdev)->caps.gid, sizeof(gid->raw));
	return 0;
}

static int pnic_query_pkey(struct ib_device *ibdev, u32 port, u16 index, u16 *pkey)
{
	if (index)
		return -EINVAL;
	*pkey = IB_DEFAULT_PKEY_FULL;
	return 0;
}

static void pnic_get_fw_str(struct ib_device *ibdev, char *str)
{
	u64 version = to_pnic(ibdev)->caps.fw_version;

	snprintf(str, IB_FW_VERSION_NAME_MAX, "%u.%u.%u", (u32)(version >> 32),
		 (u32)(version >> 16) & 0xffff, (u32)version & 0xffff);
}

static int pnic_alloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	struct pnic_cmd cmd = { .hdr.opcode = PNIC_CMD_ALLOC_PD };
	struct pnic_dev *dev = to_pnic(ibpd->device);
	struct pnic_pd *pd = to_pnic_pd(ibpd);
	struct pnic_ib_alloc_pd_resp resp = {};
	int err;

	if (!udata)
		return -EOPNOTSUPP;
	if (udata->outlen < sizeof(resp))
		return -EINVAL;
	err = ib_is_udata_in_empty(udata);
	if (err)
		return err;
	err = pnic_admin_create(dev, &cmd, &pd->pdn);
	if (err)
		return err;
	resp.pdn = pd->pdn;
	err = ib_respond_udata(udata, resp);
	if (err)
		pnic_admin_destroy(dev, PNIC_CMD_FREE_PD, pd->pdn);
	return err;
}

static int pnic_dealloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	int err;

	err = ib_no_udata_io(udata);
	if (err)
		return err;
	pnic_admin_destroy(to_pnic(ibpd->device), PNIC_CMD_FREE_PD, to_pnic_pd(ibpd)->pdn);
	return 0;
}

static const struct ib_device_ops pnic_ops = {
	.owner = THIS_MODULE,
	/* Out of tree: user space finds its provider by the PCI ID. */
	.driver_id = RDMA_DRIVER_UNKNOWN,
	.uverbs_abi_ver = PNIC_ABI_VERSION,
	.uverbs_robust_udata = true,

	.alloc_hw_device_stats = pnic_alloc_hw_stats,
	.alloc_pd = pnic_alloc_pd,
	.alloc_ucontext = pnic_alloc_ucontext,
	/* The same twice: the write() command asks for the first, new attributes for the second. */
	.create_cq = pnic_create_cq,
	.create_user_cq = pnic_create_cq,
	.create_qp = pnic_create_qp,
	.dealloc_pd = pnic_dealloc_pd,
	.dealloc_ucontext = pnic_dealloc_ucontext,
	.dereg_mr = pnic_dereg_mr,
	.destroy_cq = pnic_destroy_cq,
	.destroy_qp = pnic_destroy_qp,
	.disassociate_ucontext = pnic_disassociate_ucontext,
	.get_dev_fw_str = pnic_get_fw_str,
	.get_hw_stats = pnic_get_hw_stats,
	.get_link_layer = pnic_get_link_layer,
	.get_port_immutable = pnic_get_port_immutable,
	.mmap = pnic_mmap,
	.mmap_free = pnic_mmap_free,
	.modify_qp = pnic_modify_qp,
	.query_device = pnic_query_device,
	.query_gid = pnic_query_gid,
	.query_pkey = pnic_query_pkey,
	.query_port = pnic_query_port,
	.query_qp = pnic_query_qp,
	.reg_user_mr = pnic_reg_user_mr,
	.reg_user_mr_dmabuf = pnic_reg_user_mr_dmabuf,

	INIT_RDMA_OBJ_SIZE(ib_cq, pnic_cq, ibcq),
	INIT_RDMA_OBJ_SIZE(ib_pd, pnic_pd, ibpd),
	INIT_RDMA_OBJ_SIZE(ib_qp, pnic_qp, ibqp),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, pnic_ucontext, ibucontext),
};

/* Fills in what ib_register_device() wants to know, from the device's own answers. */
void pnic_ib_setup(struct pnic_dev *dev)
{
	struct ib_device *ibdev = &dev->ibdev;

	ibdev->node_type = RDMA_NODE_IB_CA;
	ibdev->node_guid = cpu_to_be64(dev->caps.node_guid);
	ibdev->phys_port_cnt = 1;
	ibdev->num_comp_vectors = dev->num_comp_eqs;
	ibdev->dev.parent = &dev->pdev->dev;
	strscpy(ibdev->node_desc, "pnic", sizeof(ibdev->node_desc));
	ib_set_device_ops(ibdev, &pnic_ops);
}
