/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * pnic: registers, rings and messages of the device.
 *
 * The only header that the device (lab/nic), its kernel driver (kernel/pnic) and its user-space
 * provider (providers/pnic) share. The rules behind the fields are in docs/nic-spec.md; section
 * numbers below are that document's.
 *
 * Everything is little-endian unless said otherwise. Reserved fields are written as zero; the
 * device refuses a command and fails a WQE whose reserved fields are not zero.
 */
#ifndef PEERMR_PNIC_HW_H
#define PEERMR_PNIC_HW_H

#include <linux/types.h>

/* ---- 2. PCI identity and BARs -------------------------------------------------------------- */

#define PNIC_PCI_VENDOR_ID		0x1234
#define PNIC_PCI_DEVICE_ID		0x504e	/* "PN" */
#define PNIC_PCI_CLASS			0x020700 /* InfiniBand controller */

#define PNIC_PAGE_SIZE			4096u
#define PNIC_PAGE_SHIFT			12

#define PNIC_BAR_REGS			0	/* 64-bit, trapped */
#define PNIC_BAR_REGS_SIZE		0x4000u
#define PNIC_BAR_DOORBELL		2	/* 64-bit, prefetchable, plain memory */
#define PNIC_BAR_DOORBELL_SIZE		0x400000u

/* Pages of BAR 0 */
#define PNIC_REGS_OFFSET		0x0000u	/* registers, kernel only */
#define PNIC_KICK_OFFSET		0x1000u	/* kick page, may be mapped to user space */
#define PNIC_MSIX_TABLE_OFFSET		0x2000u
#define PNIC_MSIX_PBA_OFFSET		0x3000u
#define PNIC_NUM_VECTORS		16u

/* Pages of BAR 2: page 0 is the status page, page n (n > 0) is UAR n. */
#define PNIC_NUM_UARS			(PNIC_BAR_DOORBELL_SIZE / PNIC_PAGE_SIZE) /* UAR 0 is none */
#define PNIC_UAR_SLOT_SIZE		8u
#define PNIC_UAR_SLOTS			(PNIC_PAGE_SIZE / PNIC_UAR_SLOT_SIZE)

/* ---- 3. Registers (BAR 0, page 0) ---------------------------------------------------------- */
/* 32-bit naturally aligned accesses; the 64-bit ones are two 32-bit halves, low half first. */

#define PNIC_REG_MAGIC			0x000	/* RO, PNIC_MAGIC */
#define PNIC_REG_VERSION		0x004	/* RO, interface version, major << 16 | minor */
#define PNIC_REG_FEATURES_LO		0x008	/* RO, PNIC_FEATURE_* */
#define PNIC_REG_FEATURES_HI		0x00c
#define PNIC_REG_CTRL			0x010	/* RW, PNIC_CTRL_* */
#define PNIC_REG_STATUS			0x014	/* RO, PNIC_STATUS_* */
#define PNIC_REG_ASQ_BASE_LO		0x020	/* RW while disabled: admin submission queue */
#define PNIC_REG_ASQ_BASE_HI		0x024
#define PNIC_REG_ACQ_BASE_LO		0x028	/* RW while disabled: admin completion queue */
#define PNIC_REG_ACQ_BASE_HI		0x02c
#define PNIC_REG_ADMIN_SIZE		0x030	/* RW while disabled: log2 of both queues' entries */
#define PNIC_REG_ADMIN_VECTOR		0x034	/* RW while disabled: MSI-X vector of completions */
#define PNIC_REG_ASQ_DOORBELL		0x038	/* WO: free-running count of commands submitted */
#define PNIC_REG_ACQ_DOORBELL		0x03c	/* WO: free-running count of completions consumed */

#define PNIC_MAGIC			0x43494e50u /* "PNIC" */
#define PNIC_VERSION_MAJOR		1u
#define PNIC_VERSION_MINOR		0u
#define PNIC_VERSION			(PNIC_VERSION_MAJOR << 16 | PNIC_VERSION_MINOR)

#define PNIC_CTRL_ENABLE		0x1u

#define PNIC_STATUS_READY		0x1u	/* enabled and serving commands */
#define PNIC_STATUS_FATAL		0x2u	/* only a reset helps */
#define PNIC_STATUS_REASON_SHIFT	8	/* bits 15:8, enum pnic_fatal_reason */
#define PNIC_STATUS_REASON_MASK		0xff00u

#define PNIC_ADMIN_SIZE_MIN		1u	/* log2 */
#define PNIC_ADMIN_SIZE_MAX		10u

enum pnic_fatal_reason {
	PNIC_FATAL_NONE			= 0,
	PNIC_FATAL_ADMIN_CONFIG		= 1,	/* bad queue base, size or vector */
	PNIC_FATAL_ADMIN_DOORBELL	= 2,	/* more commands than the queue holds */
	PNIC_FATAL_ADMIN_DMA		= 3,	/* the admin queues can't be reached */
	PNIC_FATAL_EQ_DMA		= 4,	/* an event queue can't be reached */
	PNIC_FATAL_INTERNAL		= 5,
};

#define PNIC_FEATURE_RC			(1ull << 0) /* reliable connected queue pairs */
#define PNIC_FEATURE_FAULTABLE_MR	(1ull << 1) /* invalid MRs raise faults, section 6 */
#define PNIC_FEATURE_SELF_TEST		(1ull << 2) /* SELF_TEST_COPY */
#define PNIC_FEATURE_SRQ		(1ull << 8)
#define PNIC_FEATURE_UD			(1ull << 9)
#define PNIC_FEATURE_ATOMIC		(1ull << 10)
#define PNIC_FEATURE_FLUSH		(1ull << 11)

/* ---- 4. Doorbells and kick (BAR 2) --------------------------------------------------------- */

struct pnic_status_page {
	__le32 armed;		/* non-zero: who rings a doorbell must also write the kick page */
	__le32 reserved[1023];
};

/* Slot of a QP. Both counts are free-running; one 32-bit store each. */
struct pnic_qp_slot {
	__le32 sq_pi;		/* WQEs ever posted to the SQ */
	__le32 rq_pi;		/* WQEs ever posted to the RQ */
};

/* Slot of a CQ or an EQ. One 64-bit store arms, with ci as seen by who arms. */
struct pnic_cq_slot {
	__le32 ci;		/* entries ever consumed */
	__le32 arm;		/* bits 1:0 PNIC_ARM_*; bits 31:2 change with every arming */
};

#define PNIC_ARM_NONE			0u
#define PNIC_ARM_SOLICITED		1u	/* solicited or failed completions only */
#define PNIC_ARM_ANY			2u
#define PNIC_ARM_MASK			3u
#define PNIC_ARM_SEQ_SHIFT		2

/* ---- 5. Page lists ------------------------------------------------------------------------- */

/*
 * levels 0: one page, at addr.
 * levels 1: addr is a 4 KiB block of up to 512 page addresses.
 * levels 2: addr is a 4 KiB block of up to 512 addresses of level-1 blocks.
 * levels 3: one block more.
 * The pages are 1 << page_shift bytes, naturally aligned; the object begins offset bytes into the
 * first one. The device reads the list while it executes the command and never again.
 */
struct pnic_page_list {
	__le64 addr;
	__le64 offset;		/* < 1 << page_shift */
	__le32 num_pages;
	__u8 page_shift;	/* 12..47 */
	__u8 levels;		/* 0..3 */
	__le16 reserved;
};

#define PNIC_PAGE_SHIFT_MIN		12u
#define PNIC_PAGE_SHIFT_MAX		47u
#define PNIC_PAGE_LIST_MAX_LEVELS	3u
#define PNIC_PAGE_LIST_FANOUT		512u

/* ---- 6. Admin commands --------------------------------------------------------------------- */

enum pnic_opcode {
	PNIC_CMD_QUERY_DEVICE		= 0x01,
	PNIC_CMD_QUERY_STATS		= 0x02,
	PNIC_CMD_SELF_TEST_COPY		= 0x03,
	PNIC_CMD_ALLOC_UAR		= 0x10,
	PNIC_CMD_FREE_UAR		= 0x11,
	PNIC_CMD_ALLOC_PD		= 0x12,
	PNIC_CMD_FREE_PD		= 0x13,
	PNIC_CMD_CREATE_MR		= 0x20,
	PNIC_CMD_DESTROY_MR		= 0x21,
	PNIC_CMD_INVALIDATE_MR		= 0x22,
	PNIC_CMD_VALIDATE_MR		= 0x23,
	PNIC_CMD_FAULT_DONE		= 0x24,
	PNIC_CMD_CREATE_EQ		= 0x30,
	PNIC_CMD_DESTROY_EQ		= 0x31,
	PNIC_CMD_CREATE_CQ		= 0x32,
	PNIC_CMD_DESTROY_CQ		= 0x33,
	PNIC_CMD_CREATE_QP		= 0x40,
	PNIC_CMD_MODIFY_QP		= 0x41,
	PNIC_CMD_QUERY_QP		= 0x42,
	PNIC_CMD_DESTROY_QP		= 0x43,
	/* Given away, answered with NOT_SUPPORTED unless the feature bit is set */
	PNIC_CMD_CREATE_SRQ		= 0x50,
	PNIC_CMD_MODIFY_SRQ		= 0x51,
	PNIC_CMD_QUERY_SRQ		= 0x52,
	PNIC_CMD_DESTROY_SRQ		= 0x53,
	PNIC_CMD_CREATE_AH		= 0x58,
	PNIC_CMD_DESTROY_AH		= 0x59,
};

enum pnic_cmd_status {
	PNIC_CMD_OK			= 0,
	PNIC_CMD_BAD_OPCODE		= 1,
	PNIC_CMD_BAD_PARAM		= 2,	/* a field out of range, a reserved one not zero */
	PNIC_CMD_BAD_HANDLE		= 3,	/* no such object */
	PNIC_CMD_BAD_STATE		= 4,	/* not in this state of the object */
	PNIC_CMD_BUSY			= 5,	/* others still refer to the object */
	PNIC_CMD_NO_RESOURCE		= 6,
	PNIC_CMD_DMA_ERROR		= 7,	/* an address in the command can't be reached */
	PNIC_CMD_NOT_SUPPORTED		= 8,	/* known, but the feature bit is clear */
	PNIC_CMD_INTERNAL		= 9,
};

#define PNIC_CMD_SIZE			128u
#define PNIC_CMD_PAYLOAD_SIZE		120u

struct pnic_cmd_hdr {
	__u8 opcode;		/* enum pnic_opcode */
	__u8 reserved0;
	__le16 cmd_id;		/* returned in the completion */
	__le32 reserved1;
};

/* QUERY_DEVICE, QUERY_STATS, QUERY_QP: where the answer goes */
struct pnic_cmd_out_buf {
	__le64 addr;		/* 8-byte aligned, within one 4 KiB page */
	__le32 length;		/* bytes; shorter than the answer: the answer is cut, not refused */
	__le32 handle;		/* QUERY_QP: the qpn; else zero */
};

struct pnic_cmd_self_test {
	__le32 bytes;		/* 1..PNIC_SELF_TEST_MAX_BYTES, copied in the device's own memory */
	__le32 iterations;	/* 1..PNIC_SELF_TEST_MAX_ITERATIONS */
};				/* result: nanoseconds for all iterations */

#define PNIC_SELF_TEST_MAX_BYTES	(16u << 20)
#define PNIC_SELF_TEST_MAX_ITERATIONS	64u

/* FREE_UAR, FREE_PD, DESTROY_{MR,EQ,CQ,QP}, FAULT_DONE: the object */
struct pnic_cmd_handle {
	__le32 handle;		/* FAULT_DONE, DESTROY_MR: the key */
	__le32 reserved;
};

#define PNIC_ACCESS_LOCAL_WRITE		0x01u
#define PNIC_ACCESS_REMOTE_WRITE	0x02u
#define PNIC_ACCESS_REMOTE_READ		0x04u
#define PNIC_ACCESS_REMOTE_ATOMIC	0x08u
#define PNIC_ACCESS_MASK		0x0fu

#define PNIC_MR_FAULTABLE		0x1u	/* may be invalid and raise faults */
#define PNIC_MR_INVALID			0x2u	/* created without pages; needs FAULTABLE */
#define PNIC_MR_FLAGS_MASK		0x3u

struct pnic_cmd_create_mr {
	__le32 pdn;
	__le32 access;		/* PNIC_ACCESS_* */
	__le32 flags;		/* PNIC_MR_* */
	__le32 reserved;
	__le64 iova;		/* address that work requests use */
	__le64 length;		/* bytes, non-zero; iova + length does not wrap */
	struct pnic_page_list pages; /* all zero with PNIC_MR_INVALID */
};				/* result: the key, both lkey and rkey */

#define PNIC_INVALIDATE_REVOKE		0x1u	/* for good: accesses fail, no fault is raised */

struct pnic_cmd_invalidate_mr {
	__le32 key;
	__le32 flags;		/* PNIC_INVALIDATE_* */
};

struct pnic_cmd_validate_mr {
	__le32 key;
	__le32 reserved;
	struct pnic_page_list pages;
};

struct pnic_cmd_create_eq {
	__le32 vector;		/* MSI-X vector */
	__le32 uar;
	__le32 slot;
	__u8 log_size;		/* log2 of entries, PNIC_EQ_LOG_MIN..MAX */
	__u8 reserved[3];
	struct pnic_page_list pages;
};				/* result: eqn */

struct pnic_cmd_create_cq {
	__le32 eqn;
	__le32 uar;
	__le32 slot;
	__u8 log_size;
	__u8 reserved[3];
	struct pnic_page_list pages;
};				/* result: cqn */

#define PNIC_QPT_RC			2u
#define PNIC_QPT_UD			4u

#define PNIC_QP_SQ_SIG_ALL		0x1u	/* every send WQE completes with a CQE */

#define PNIC_NO_SRQ			0xffffffffu

struct pnic_cmd_create_qp {
	__le32 pdn;
	__le32 scqn;
	__le32 rcqn;
	__le32 srqn;		/* PNIC_NO_SRQ */
	__le32 uar;
	__le32 slot;
	__u8 type;		/* PNIC_QPT_* */
	__u8 flags;		/* PNIC_QP_* */
	__u8 sq_log_size;	/* log2 of WQEs */
	__u8 sq_stride_shift;	/* log2 of a WQE's bytes, PNIC_SQ_STRIDE_SHIFT_MIN..MAX */
	__u8 rq_log_size;
	__u8 rq_stride_shift;
	__le16 reserved;
	struct pnic_page_list sq;
	struct pnic_page_list rq;
};				/* result: qpn */

enum pnic_qp_state {
	PNIC_QPS_RESET			= 0,
	PNIC_QPS_INIT			= 1,
	PNIC_QPS_RTR			= 2,
	PNIC_QPS_RTS			= 3,
	PNIC_QPS_SQD			= 4,	/* reserved, refused */
	PNIC_QPS_SQE			= 5,	/* reserved, refused */
	PNIC_QPS_ERR			= 6,
};

/* MODIFY_QP: which fields of struct pnic_qp_attr count */
#define PNIC_QP_ATTR_STATE		0x0001u
#define PNIC_QP_ATTR_CUR_STATE		0x0002u
#define PNIC_QP_ATTR_ACCESS		0x0004u
#define PNIC_QP_ATTR_AV			0x0008u
#define PNIC_QP_ATTR_PATH_MTU		0x0010u
#define PNIC_QP_ATTR_TIMEOUT		0x0020u
#define PNIC_QP_ATTR_RETRY_CNT		0x0040u
#define PNIC_QP_ATTR_RNR_RETRY		0x0080u
#define PNIC_QP_ATTR_RQ_PSN		0x0100u
#define PNIC_QP_ATTR_MAX_RD_ATOMIC	0x0200u
#define PNIC_QP_ATTR_MIN_RNR_TIMER	0x0400u
#define PNIC_QP_ATTR_SQ_PSN		0x0800u
#define PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC	0x1000u
#define PNIC_QP_ATTR_DEST_QPN		0x2000u
#define PNIC_QP_ATTR_MASK		0x3fffu

/* Address vector: a LID, or a GID when PNIC_AV_GRH is set */
#define PNIC_AV_GRH			0x1u

struct pnic_av {
	__u8 dgid[16];		/* network order */
	__le16 dlid;
	__u8 sl;
	__u8 flags;		/* PNIC_AV_* */
	__le32 flow_label;
	__u8 sgid_index;
	__u8 hop_limit;
	__u8 traffic_class;
	__u8 static_rate;
	__le32 reserved;
};

struct pnic_qp_attr {
	__u8 state;		/* enum pnic_qp_state */
	__u8 cur_state;
	__u8 path_mtu;		/* 1..5: 256..4096 bytes */
	__u8 timeout;		/* 4.096 us << timeout; 0 waits for ever */
	__u8 retry_cnt;		/* 0..7 */
	__u8 rnr_retry;		/* 0..7, 7: without end */
	__u8 min_rnr_timer;	/* 0..31, InfiniBand's table */
	__u8 max_rd_atomic;
	__u8 max_dest_rd_atomic;
	__u8 reserved0[3];
	__le32 access;		/* PNIC_ACCESS_REMOTE_*: what the peer may do through this QP */
	__le32 rq_psn;		/* 24 bits */
	__le32 sq_psn;		/* 24 bits */
	__le32 dest_qpn;	/* 24 bits */
	struct pnic_av av;
};

struct pnic_cmd_modify_qp {
	__le32 qpn;
	__le32 mask;		/* PNIC_QP_ATTR_* */
	struct pnic_qp_attr attr;
};

/* Answer of QUERY_QP */
struct pnic_qp_query {
	struct pnic_qp_attr attr;
	__le32 sq_ci;		/* WQEs the device is done with */
	__le32 rq_ci;
};

struct pnic_cmd {
	struct pnic_cmd_hdr hdr;
	union {
		struct pnic_cmd_out_buf out;
		struct pnic_cmd_self_test self_test;
		struct pnic_cmd_handle object;
		struct pnic_cmd_create_mr create_mr;
		struct pnic_cmd_invalidate_mr invalidate_mr;
		struct pnic_cmd_validate_mr validate_mr;
		struct pnic_cmd_create_eq create_eq;
		struct pnic_cmd_create_cq create_cq;
		struct pnic_cmd_create_qp create_qp;
		struct pnic_cmd_modify_qp modify_qp;
		__u8 payload[PNIC_CMD_PAYLOAD_SIZE];
	} u;
};

#define PNIC_ADMIN_COMP_PHASE		0x1u

struct pnic_admin_comp {
	__le16 cmd_id;
	__u8 status;		/* enum pnic_cmd_status */
	__u8 flags;		/* PNIC_ADMIN_COMP_PHASE, written last */
	__le32 reserved0;
	__le64 result;		/* handle, key or measurement, by command */
	__le64 reserved[2];
};

/* Answer of QUERY_DEVICE; the device fills what it knows and zeroes the rest */
struct pnic_device_attr {
	__le64 node_guid;	/* EUI-64 as a number */
	__le64 fw_version;	/* major << 32 | minor << 16 | patch */
	__le64 max_mr_size;	/* bytes */
	__le32 max_mr;
	__le32 max_pd;
	__le32 max_cq;
	__le32 max_qp;
	__le32 max_eq;
	__le32 max_srq;
	__le32 max_ah;
	__le32 num_uars;	/* usable ones, UAR 0 not counted */
	__le32 max_cqe;		/* entries of one CQ */
	__le32 max_qp_wr;	/* WQEs of one SQ or RQ */
	__le32 max_sge;		/* of one WQE */
	__le32 max_inline;	/* bytes */
	__le32 max_rd_atomic;
	__le32 max_msg_size;	/* bytes */
	__le32 key_bits;	/* width of keys */
	__le32 fault_timeout_ms; /* longest wait of a requester for its own faulted MR */
	/* the port */
	__le16 lid;
	__u8 port_state;	/* PNIC_PORT_* */
	__u8 max_mtu;		/* 1..5 */
	__u8 active_mtu;
	__u8 reserved0[3];
	__u8 gid[16];		/* the only entry, network order */
	__le64 reserved[8];
};

#define PNIC_PORT_DOWN			1u
#define PNIC_PORT_ACTIVE		4u

/* Answer of QUERY_STATS: an array of __le64, in this order; counted since the device process began */
enum pnic_stat {
	PNIC_STAT_TX_SEND		= 0,	/* WRs completed, by kind, as requester */
	PNIC_STAT_TX_WRITE		= 1,
	PNIC_STAT_TX_READ		= 2,
	PNIC_STAT_TX_BYTES		= 3,	/* payload bytes sent: SEND and WRITE data, READ responses */
	PNIC_STAT_RX_BYTES		= 4,	/* payload bytes taken */
	PNIC_STAT_WR_ERROR		= 5,	/* CQEs with an error other than flush */
	PNIC_STAT_RNR_NAK_TX		= 6,
	PNIC_STAT_RNR_NAK_RX		= 7,
	PNIC_STAT_TIMEOUT		= 8,	/* transport time-outs */
	PNIC_STAT_ACCESS_ERROR		= 9,	/* refused as responder: key, bounds, PD, access */
	PNIC_STAT_CQ_OVERFLOW		= 10,
	PNIC_STAT_MR_FAULT		= 11,	/* fault events raised */
	PNIC_STAT_MR_FAULT_TIMEOUT	= 12,	/* requester gave up waiting */
	PNIC_STAT_INVALIDATE		= 13,	/* INVALIDATE_MR and DESTROY_MR completed */
	PNIC_STAT_WAKEUP		= 14,	/* sleeps of the engine that ended */
	PNIC_STAT_KICK			= 15,	/* writes to the kick page */
	PNIC_STAT_INTERRUPT		= 16,
	PNIC_STAT_ADMIN_ERROR		= 17,	/* commands answered with a status other than OK */
	PNIC_STAT_BAD_DOORBELL		= 18,	/* impossible producer counts, QP put in error */
	PNIC_STAT_BAD_WQE		= 19,
	/* Self checks: any other value than 0 is a defect of the device, its driver or the IOMMU setup */
	PNIC_STAT_DMA_UNMAPPED		= 20,	/* address of a valid object not in the IOMMU map */
	PNIC_STAT_DMA_AFTER_INVALIDATE	= 21,	/* data moved through an MR after its fence */
	PNIC_STAT_COUNT			= 22,
};

/* ---- 7. Event queues ----------------------------------------------------------------------- */

enum pnic_event_type {
	PNIC_EVENT_COMPLETION		= 1,	/* object: cqn */
	PNIC_EVENT_CQ_ERROR		= 2,	/* object: cqn */
	PNIC_EVENT_QP			= 3,	/* object: qpn, code: enum pnic_qp_event */
	PNIC_EVENT_MR_FAULT		= 4,	/* object: key */
	PNIC_EVENT_PORT			= 5,	/* code: PNIC_PORT_* */
	PNIC_EVENT_FATAL		= 6,	/* code: enum pnic_fatal_reason */
};

enum pnic_qp_event {
	PNIC_QP_EVENT_FATAL		= 1,	/* bad doorbell, ring out of reach, CQ overflow */
	PNIC_QP_EVENT_REQ_ERR		= 2,	/* invalid request from the peer */
	PNIC_QP_EVENT_ACCESS_ERR	= 3,	/* access violation by the peer */
	PNIC_QP_EVENT_COMM_EST		= 4,
};

#define PNIC_EQE_PHASE			0x1u
#define PNIC_EQE_FAULT_WRITE		0x2u	/* MR_FAULT: the access would write to the MR */

struct pnic_eqe {
	__u8 type;		/* enum pnic_event_type */
	__u8 flags;		/* PNIC_EQE_* */
	__le16 code;
	__le32 object;
	__le64 addr;		/* MR_FAULT: iova of the access */
	__le32 length;		/* MR_FAULT: bytes */
	__le32 qpn;		/* MR_FAULT: who wanted it */
	__le64 reserved;
};

#define PNIC_EQ_LOG_MIN			4u
#define PNIC_EQ_LOG_MAX			16u

/* ---- 8. Completion queues ------------------------------------------------------------------ */

enum pnic_cqe_status {
	PNIC_CQE_SUCCESS		= 0,
	PNIC_CQE_LOC_LEN_ERR		= 1,
	PNIC_CQE_LOC_QP_OP_ERR		= 2,
	PNIC_CQE_LOC_PROT_ERR		= 4,
	PNIC_CQE_WR_FLUSH_ERR		= 5,
	PNIC_CQE_REM_INV_REQ_ERR	= 9,
	PNIC_CQE_REM_ACCESS_ERR		= 10,
	PNIC_CQE_REM_OP_ERR		= 11,
	PNIC_CQE_RETRY_EXC_ERR		= 12,
	PNIC_CQE_RNR_RETRY_EXC_ERR	= 13,
	PNIC_CQE_FATAL_ERR		= 19,
	PNIC_CQE_GENERAL_ERR		= 21,
};				/* the numbers of enum ibv_wc_status */

enum pnic_cqe_opcode {
	PNIC_CQE_SEND			= 0,
	PNIC_CQE_RDMA_WRITE		= 1,
	PNIC_CQE_RDMA_READ		= 2,
	PNIC_CQE_COMP_SWAP		= 3,
	PNIC_CQE_FETCH_ADD		= 4,
	PNIC_CQE_RECV			= 0x80,
	PNIC_CQE_RECV_RDMA_WITH_IMM	= 0x81,
};

#define PNIC_CQE_FLAG_PHASE		0x1u	/* written last */
#define PNIC_CQE_FLAG_IMM		0x2u
#define PNIC_CQE_FLAG_SOLICITED		0x4u
#define PNIC_CQE_FLAG_GRH		0x8u

/* Why, where the status alone does not say it */
enum pnic_vendor_error {
	PNIC_VERR_NONE			= 0,
	PNIC_VERR_BAD_KEY		= 1,	/* no such key */
	PNIC_VERR_REVOKED		= 2,	/* the MR is revoked for good */
	PNIC_VERR_PD			= 3,
	PNIC_VERR_ACCESS		= 4,
	PNIC_VERR_BOUNDS		= 5,
	PNIC_VERR_FAULT_TIMEOUT		= 6,	/* the MR stayed invalid too long */
	PNIC_VERR_DMA			= 7,	/* valid MR, address not in the IOMMU map */
	PNIC_VERR_WQE			= 8,	/* malformed WQE */
	PNIC_VERR_DOORBELL		= 9,
	PNIC_VERR_CQ_OVERFLOW		= 10,
	PNIC_VERR_RECV_TOO_SMALL	= 11,
	PNIC_VERR_QP_ACCESS		= 12,	/* not allowed by the QP's own access flags */
};

struct pnic_cqe {
	__le64 wr_id;		/* of the WQE */
	__le64 timestamp_ns;	/* monotonic clock of the device */
	__le32 qpn;
	__le32 byte_len;	/* RECV: bytes taken; READ and others: length of the WR */
	__le32 wqe_index;	/* free-running: the WQE's position in its queue */
	__be32 imm;		/* as in the WQE, not swapped */
	__le32 src_qp;
	__le32 reserved0;
	__u8 reserved1[20];
	__u8 opcode;		/* enum pnic_cqe_opcode; valid for errors too */
	__u8 status;		/* enum pnic_cqe_status */
	__u8 vendor_err;	/* enum pnic_vendor_error */
	__u8 flags;		/* PNIC_CQE_FLAG_* */
};

#define PNIC_CQ_LOG_MIN			0u
#define PNIC_CQ_LOG_MAX			18u

/* ---- 9. Queue pairs: WQEs ------------------------------------------------------------------ */

enum pnic_wqe_opcode {
	PNIC_WQE_SEND			= 0,
	PNIC_WQE_SEND_WITH_IMM		= 1,
	PNIC_WQE_RDMA_WRITE		= 2,
	PNIC_WQE_RDMA_WRITE_WITH_IMM	= 3,
	PNIC_WQE_RDMA_READ		= 4,
};

#define PNIC_WQE_SIGNALED		0x1u
#define PNIC_WQE_SOLICITED		0x2u
#define PNIC_WQE_FENCE			0x4u
#define PNIC_WQE_INLINE			0x8u
#define PNIC_WQE_FLAGS_MASK		0xfu

struct pnic_sge {
	__le64 addr;
	__le32 length;		/* 0 is a valid length: no bytes, no checks */
	__le32 lkey;
};

/* Head of a send WQE; num_sge SGEs or inline_len bytes follow */
struct pnic_sq_wqe {
	__u8 opcode;		/* enum pnic_wqe_opcode */
	__u8 flags;		/* PNIC_WQE_* */
	__u8 num_sge;		/* zero with INLINE */
	__u8 reserved;
	__be32 imm;
	__le64 wr_id;
	__le64 remote_addr;
	__le32 rkey;
	__le32 inline_len;
};

/* Head of a receive WQE; num_sge SGEs follow */
struct pnic_rq_wqe {
	__le64 wr_id;
	__le32 num_sge;
	__le32 reserved;
};

#define PNIC_SQ_STRIDE_SHIFT_MIN	6u	/* 64 bytes: 2 SGEs or 32 bytes inline */
#define PNIC_SQ_STRIDE_SHIFT_MAX	9u	/* 512 bytes: 30 SGEs or 480 bytes inline */
#define PNIC_RQ_STRIDE_SHIFT_MIN	5u	/* 32 bytes: 1 SGE */
#define PNIC_RQ_STRIDE_SHIFT_MAX	9u	/* 512 bytes: 31 SGEs, of which 30 are used */
#define PNIC_MAX_SGE			30u
#define PNIC_MAX_INLINE			480u
#define PNIC_QP_LOG_MAX			15u	/* WQEs of an SQ or RQ */
#define PNIC_MAX_MSG_SIZE		(1u << 31)

#define PNIC_FIRST_QPN			16u	/* lower numbers are reserved */
#define PNIC_QPN_MASK			0xffffffu

#endif
