// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the device counts and measures: hw_counters of the ib_device (section 6.4), and
 * pnic/<bdf>/copy_mb_s in debugfs, the copy bandwidth of the device's own memory in MB/s.
 */

#include <linux/debugfs.h>

#include "pnic.h"

static const struct rdma_stat_desc pnic_stat_descs[] = {
	[PNIC_STAT_TX_SEND].name = "tx_send",
	[PNIC_STAT_TX_WRITE].name = "tx_write",
	[PNIC_STAT_TX_READ].name = "tx_read",
	[PNIC_STAT_TX_BYTES].name = "tx_bytes",
	[PNIC_STAT_RX_BYTES].name = "rx_bytes",
	[PNIC_STAT_WR_ERROR].name = "wr_error",
	[PNIC_STAT_RNR_NAK_TX].name = "rnr_nak_tx",
	[PNIC_STAT_RNR_NAK_RX].name = "rnr_nak_rx",
	[PNIC_STAT_TIMEOUT].name = "timeout",
	[PNIC_STAT_ACCESS_ERROR].name = "access_error",
	[PNIC_STAT_CQ_OVERFLOW].name = "cq_overflow",
	[PNIC_STAT_MR_FAULT].name = "mr_fault",
	[PNIC_STAT_MR_FAULT_TIMEOUT].name = "mr_fault_timeout",
	[PNIC_STAT_INVALIDATE].name = "invalidate",
	[PNIC_STAT_WAKEUP].name = "wakeup",
	[PNIC_STAT_KICK].name = "kick",
	[PNIC_STAT_INTERRUPT].name = "interrupt",
	[PNIC_STAT_ADMIN_ERROR].name = "admin_error",
	[PNIC_STAT_BAD_DOORBELL].name = "bad_doorbell",
	[PNIC_STAT_BAD_WQE].name = "bad_wqe",
	[PNIC_STAT_DMA_UNMAPPED].name = "dma_unmapped",
	[PNIC_STAT_DMA_AFTER_INVALIDATE].name = "dma_after_invalidate",
};

static_assert(ARRAY_SIZE(pnic_stat_descs) == PNIC_STAT_COUNT);

struct rdma_hw_stats *pnic_alloc_hw_stats(struct ib_device *ibdev)
{
	/* No caching: who compares counts before and after something wants the latest. */
	return rdma_alloc_hw_stats_struct(pnic_stat_descs, PNIC_STAT_COUNT, 0);
}

int pnic_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats, u32 port, int index)
{
	__le64 values[PNIC_STAT_COUNT];
	unsigned int i;
	int err;

	err = pnic_admin_query(to_pnic(ibdev), PNIC_CMD_QUERY_STATS, 0, values, sizeof(values));
	if (err)
		return err;
	for (i = 0; i < PNIC_STAT_COUNT; i++)
		stats->value[i] = le64_to_cpu(values[i]);
	return PNIC_STAT_COUNT;
}

#define PNIC_COPY_BYTES		SZ_1M
#define PNIC_COPY_ITERATIONS	16

static int pnic_copy_mb_s_get(void *data, u64 *mb_s)
{
	struct pnic_cmd cmd = {
		.hdr.opcode = PNIC_CMD_SELF_TEST_COPY,
		.u.self_test.bytes = cpu_to_le32(PNIC_COPY_BYTES),
		.u.self_test.iterations = cpu_to_le32(PNIC_COPY_ITERATIONS),
	};
	struct pnic_dev *dev = data;
	u64 ns;
	int err;

	if (!(dev->caps.features & PNIC_FEATURE_SELF_TEST))
		return -EOPNOTSUPP;
	err = pnic_admin_exec(dev, &cmd, &ns);
	if (err)
		return err;
	if (!ns)
		return -EIO;
	/* bytes per ns, times 1e9 ns/s, by 1e6 bytes/MB */
	*mb_s = div64_u64((u64)PNIC_COPY_BYTES * PNIC_COPY_ITERATIONS * 1000, ns);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(pnic_copy_mb_s_fops, pnic_copy_mb_s_get, NULL, "%llu\n");

static struct dentry *pnic_debugfs_root;

void pnic_debugfs_init(void)
{
	pnic_debugfs_root = debugfs_create_dir(PNIC_DRIVER_NAME, NULL);
}

void pnic_debugfs_exit(void)
{
	debugfs_remove(pnic_debugfs_root);
}

void pnic_debugfs_add(struct pnic_dev *dev)
{
	dev->debugfs = debugfs_create_dir(pci_name(dev->pdev), pnic_debugfs_root);
	debugfs_create_file("copy_mb_s", 0400, dev->debugfs, dev, &pnic_copy_mb_s_fops);
}

/* Waits for readers. */
void pnic_debugfs_remove(struct pnic_dev *dev)
{
	debugfs_remove(dev->debugfs);
}
