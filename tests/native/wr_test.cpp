// SPDX-License-Identifier: BSD-2-Clause
// The ibv_wr_* API.
#include <cerrno>
#include <cstring>

#include "support.hpp"

namespace peermr::test {
namespace {

constexpr uint64_t kOps = IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |
                          IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM |
                          IBV_QP_EX_WITH_RDMA_READ;

class WorkRequests : public Connected {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    QpOptions options;
    options.send_ops = kOps;
    connect(options, {});
    qpx = ibv_qp_to_qp_ex(left->qp.get());
    ASSERT_NE(qpx, nullptr);
    from = std::make_unique<Buffer>(left->pd.get(), 4096, 1);
    to = std::make_unique<Buffer>(right->pd.get(), 4096, 2);
  }
  void TearDown() override {
    from.reset();
    to.reset();
    Connected::TearDown();
  }
  void begin(uint64_t wr_id, unsigned flags = IBV_SEND_SIGNALED) {
    qpx->wr_id = wr_id;
    qpx->wr_flags = flags;
  }
  void set_sge(const ibv_sge& sge) { ibv_wr_set_sge(qpx, sge.lkey, sge.addr, sge.length); }

  ibv_qp_ex* qpx = nullptr;
  std::unique_ptr<Buffer> from;
  std::unique_ptr<Buffer> to;
};

TEST_F(WorkRequests, AllOperationsInOneBatch) {
  Buffer back(left->pd.get(), 100, 3);
  Buffer received(right->pd.get(), 100, 4);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_EQ(right->post_recv({received.sge()}, i), 0);
  ibv_wr_start(qpx);
  begin(1);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address());
  set_sge(from->sge(0, 100));
  begin(2);
  ibv_wr_rdma_read(qpx, to->mr->rkey, to->address());
  set_sge(back.sge());
  begin(3);
  ibv_wr_send(qpx);
  set_sge(from->sge(200, 100));
  begin(4);
  ibv_wr_send_imm(qpx, htobe32(77));
  set_sge(from->sge(0, 1));
  begin(5);
  ibv_wr_rdma_write_imm(qpx, to->mr->rkey, to->address(1000), htobe32(88));
  set_sge(from->sge(1000, 50));
  ASSERT_EQ(ibv_wr_complete(qpx), 0);
  const ibv_wc_opcode opcodes[] = {IBV_WC_RDMA_WRITE, IBV_WC_RDMA_READ, IBV_WC_SEND, IBV_WC_SEND,
                                   IBV_WC_RDMA_WRITE};
  for (uint64_t i = 0; i < 5; ++i) {
    const ibv_wc wc = left->expect_success();
    EXPECT_EQ(wc.wr_id, i + 1);
    EXPECT_EQ(wc.opcode, opcodes[i]);
  }
  EXPECT_EQ(std::memcmp(back.data.data(), from->data.data(), 100), 0);
  EXPECT_EQ(std::memcmp(&to->data[1000], &from->data[1000], 50), 0);
  EXPECT_EQ(right->expect_success().byte_len, 100u);
  EXPECT_EQ(be32toh(right->expect_success().imm_data), 77u);
  const ibv_wc last = right->expect_success();
  EXPECT_EQ(be32toh(last.imm_data), 88u);
  EXPECT_EQ(last.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
}

TEST_F(WorkRequests, ScatterListsAndInlineLists) {
  const ibv_sge list[] = {from->sge(0, 10), from->sge(500, 20)};
  uint8_t one[] = {1, 2, 3};
  uint8_t two[] = {4, 5};
  const ibv_data_buf bufs[] = {{one, sizeof(one)}, {two, sizeof(two)}};
  ibv_wr_start(qpx);
  begin(1, 0);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address());
  ibv_wr_set_sge_list(qpx, 2, list);
  begin(2, 0);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address(100));
  ibv_wr_set_inline_data_list(qpx, 2, bufs);
  begin(3);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address(200));
  ibv_wr_set_inline_data(qpx, one, sizeof(one));
  ASSERT_EQ(ibv_wr_complete(qpx), 0);
  std::memset(one, 0, sizeof(one));
  EXPECT_EQ(left->expect_success().wr_id, 3u);
  EXPECT_EQ(std::memcmp(&to->data[0], &from->data[0], 10), 0);
  EXPECT_EQ(std::memcmp(&to->data[10], &from->data[500], 20), 0);
  const uint8_t joined[] = {1, 2, 3, 4, 5};
  EXPECT_EQ(std::memcmp(&to->data[100], joined, 5), 0);
  EXPECT_EQ(std::memcmp(&to->data[200], joined, 3), 0);
}

TEST_F(WorkRequests, AbortPostsNothing) {
  const std::vector<uint8_t> before = to->data;
  ibv_wr_start(qpx);
  begin(1);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address());
  set_sge(from->sge());
  ibv_wr_abort(qpx);
  EXPECT_TRUE(left->stays_silent());
  EXPECT_EQ(to->data, before);
}

TEST_F(WorkRequests, AnErrorInTheMiddlePostsNothingAndIsToldAtTheEnd) {
  const std::vector<uint8_t> too_long(left->cap.max_inline_data + 1);
  ibv_wr_start(qpx);
  begin(1);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address());
  set_sge(from->sge(0, 10));
  begin(2);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address(100));
  ibv_wr_set_inline_data(qpx, const_cast<uint8_t*>(too_long.data()), too_long.size());
  begin(3);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address(200));
  set_sge(from->sge(0, 10));
  EXPECT_EQ(ibv_wr_complete(qpx), EINVAL);
  EXPECT_TRUE(left->stays_silent());
  ibv_wr_start(qpx);
  begin(4);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address());
  set_sge(from->sge(0, 10));
  EXPECT_EQ(ibv_wr_complete(qpx), 0);
  EXPECT_EQ(left->expect_success().wr_id, 4u);
}

TEST_F(WorkRequests, ABatchThatDoesNotFitIsRefusedAsAWhole) {
  ibv_wr_start(qpx);
  for (uint32_t i = 0; i <= left->cap.max_send_wr; ++i) {
    begin(i);
    ibv_wr_rdma_write(qpx, to->mr->rkey, to->address());
    set_sge(from->sge(0, 1));
  }
  EXPECT_EQ(ibv_wr_complete(qpx), ENOMEM);
  EXPECT_TRUE(left->stays_silent());
}

TEST_F(WorkRequests, AnEmptyBatchIsNone) {
  ibv_wr_start(qpx);
  EXPECT_EQ(ibv_wr_complete(qpx), 0);
  EXPECT_TRUE(left->stays_silent(5));
}

TEST_F(WorkRequests, BothApisShareTheQueue) {
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from->sge(0, 8)}, 1, to->address(), to->mr->rkey),
            0);
  ibv_wr_start(qpx);
  begin(2);
  ibv_wr_rdma_write(qpx, to->mr->rkey, to->address(8));
  set_sge(from->sge(8, 8));
  ASSERT_EQ(ibv_wr_complete(qpx), 0);
  EXPECT_EQ(left->expect_success().wr_id, 1u);
  EXPECT_EQ(left->expect_success().wr_id, 2u);
  EXPECT_EQ(std::memcmp(to->data.data(), from->data.data(), 16), 0);
}

TEST_F(WorkRequests, OperationsThatTheDeviceLacksAreRefused) {
  ibv_qp_init_attr_ex attr{};
  attr.send_cq = attr.recv_cq = left->cq.get();
  attr.cap = {8, 8, 1, 1, 0};
  attr.qp_type = IBV_QPT_RC;
  attr.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
  attr.pd = left->pd.get();
  attr.send_ops_flags = IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP;
  EXPECT_EQ(ibv_create_qp_ex(a.get(), &attr), nullptr);
  EXPECT_EQ(errno, EOPNOTSUPP);
}

}  // namespace
}  // namespace peermr::test
