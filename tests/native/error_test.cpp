// SPDX-License-Identifier: BSD-2-Clause
// What goes wrong ends in the completion, the QP state and the event that InfiniBand says.
#include <fcntl.h>
#include <peermr/pnic_hw.h>
#include <poll.h>

#include "support.hpp"

namespace peermr::test {
namespace {

using Errors = Connected;

ibv_qp_state state_of(ibv_qp* qp) {
  ibv_qp_attr attr{};
  ibv_qp_init_attr init{};
  EXPECT_EQ(ibv_query_qp(qp, &attr, IBV_QP_STATE, &init), 0);
  return attr.qp_state;
}

/// The next asynchronous event, which must come within two seconds.
ibv_event_type next_event(ibv_context* context, const ibv_qp* qp) {
  pollfd fd{context->async_fd, POLLIN, 0};
  if (::poll(&fd, 1, 2000) != 1) {
    ADD_FAILURE() << "no asynchronous event";
    return IBV_EVENT_GID_CHANGE;
  }
  ibv_async_event event{};
  EXPECT_EQ(ibv_get_async_event(context, &event), 0);
  EXPECT_EQ(event.element.qp, qp);
  ibv_ack_async_event(&event);
  return event.event_type;
}

TEST_F(Errors, AWrongRemoteKeyEndsBothQueuePairs) {
  Buffer from(left->pd.get(), 100);
  Buffer to(right->pd.get(), 100);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 3, to.address(), to.mr->rkey + 1000),
            0);
  const ibv_wc wc = left->wait();
  EXPECT_EQ(wc.status, IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(wc.wr_id, 3u);
  EXPECT_EQ(state_of(left->qp.get()), IBV_QPS_ERR);
  EXPECT_EQ(state_of(right->qp.get()), IBV_QPS_ERR);
  EXPECT_EQ(next_event(b.get(), right->qp.get()), IBV_EVENT_QP_ACCESS_ERR);
}

TEST_F(Errors, AWriteBehindTheEndWritesNothing) {
  Buffer from(left->pd.get(), 4096, 1);
  Buffer to(right->pd.get(), 4096, 2);
  const std::vector<uint8_t> before = to.data;
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(1), to.mr->rkey), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(to.data, before);
}

TEST_F(Errors, AWriteNeedsTheRegionsPermission) {
  Buffer from(left->pd.get(), 64);
  Buffer to(right->pd.get(), 64, 0, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), to.mr->rkey), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
}

TEST_F(Errors, AReadNeedsTheQueuePairsPermission) {
  QpOptions no_read;
  no_read.access = IBV_ACCESS_REMOTE_WRITE;
  connect({}, no_read);
  Buffer to(left->pd.get(), 64);
  Buffer from(right->pd.get(), 64);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_READ, {to.sge()}, 0, from.address(), from.mr->rkey), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
}

TEST_F(Errors, AKeyOfAnotherDomainIsNoKey) {
  const PdPtr other(ibv_alloc_pd(b.get()));
  Buffer from(left->pd.get(), 64);
  Buffer to(other.get(), 64);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), to.mr->rkey), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
}

TEST_F(Errors, AKeyThatWasDeregisteredIsNoKey) {
  Buffer from(left->pd.get(), 64);
  Buffer to(right->pd.get(), 64);
  const uint32_t key = to.mr->rkey;
  to.mr.reset();
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), key), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
}

TEST_F(Errors, AWrongLocalKeyIsALocalProtectionError) {
  Buffer from(left->pd.get(), 64);
  Buffer to(right->pd.get(), 64);
  ibv_sge sge = from.sge();
  sge.lkey += 1000;
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {sge}, 0, to.address(), to.mr->rkey), 0);
  const ibv_wc wc = left->wait();
  EXPECT_EQ(wc.status, IBV_WC_LOC_PROT_ERR);
  EXPECT_EQ(wc.vendor_err, static_cast<uint32_t>(PNIC_VERR_BAD_KEY));
  EXPECT_EQ(state_of(left->qp.get()), IBV_QPS_ERR);
}

TEST_F(Errors, AReadNeedsLocalWritePermission) {
  Buffer to(left->pd.get(), 64, 0, 0);
  Buffer from(right->pd.get(), 64);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_READ, {to.sge()}, 0, from.address(), from.mr->rkey), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_LOC_PROT_ERR);
}

TEST_F(Errors, AMessageLongerThanItsReceiveFailsOnBothSides) {
  Buffer from(left->pd.get(), 100);
  Buffer to(right->pd.get(), 100);
  ASSERT_EQ(right->post_recv({to.sge(0, 99)}, 5), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {from.sge()}), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_INV_REQ_ERR);
  const ibv_wc wc = right->wait();
  EXPECT_EQ(wc.status, IBV_WC_LOC_LEN_ERR);
  EXPECT_EQ(wc.wr_id, 5u);
}

TEST_F(Errors, ASendWithoutAReceiveFailsWhenRetriesAreUsedUp) {
  QpOptions impatient;
  impatient.rnr_retry = 1;
  connect(impatient, {});
  Buffer from(left->pd.get(), 64);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {from.sge()}), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_RNR_RETRY_EXC_ERR);
}

TEST_F(Errors, ASendWaitsForItsReceiveWhenRetriesAreEndless) {
  Buffer from(left->pd.get(), 64, 1);
  Buffer to(right->pd.get(), 64, 2);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {from.sge()}), 0);
  EXPECT_TRUE(left->stays_silent());
  ASSERT_EQ(right->post_recv({to.sge()}), 0);
  left->expect_success();
  right->expect_success();
  EXPECT_EQ(from.data, to.data);
}

TEST_F(Errors, APeerThatIsGoneEndsInRetryExceeded) {
  QpOptions hasty;
  hasty.timeout = 10;  // 4 ms
  connect(hasty, {});
  right->qp.reset();
  Buffer from(left->pd.get(), 64);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {from.sge()}), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_RETRY_EXC_ERR);
}

TEST_F(Errors, EverythingPostedToAQueuePairInErrorIsFlushedInOrder) {
  Buffer memory(left->pd.get(), 64);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_EQ(left->post_recv({memory.sge()}, 100 + i), 0);
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_ERR;
  ASSERT_EQ(ibv_modify_qp(left->qp.get(), &attr, IBV_QP_STATE), 0);
  for (uint64_t i = 0; i < 3; ++i)
    ASSERT_EQ(left->post_send(IBV_WR_SEND, {memory.sge()}, 200 + i, 0, 0, 0), 0);
  uint64_t next_receive = 100;
  uint64_t next_send = 200;
  for (int i = 0; i < 6; ++i) {
    const ibv_wc wc = left->wait();
    EXPECT_EQ(wc.status, IBV_WC_WR_FLUSH_ERR);
    uint64_t& next = wc.wr_id < 200 ? next_receive : next_send;
    EXPECT_EQ(wc.wr_id, next);
    ++next;
  }
  EXPECT_TRUE(left->stays_silent());
}

TEST_F(Errors, AQueuePairWorksAgainAfterReset) {
  Buffer from(left->pd.get(), 64, 1);
  Buffer to(right->pd.get(), 64, 2);
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), 1), 0);
    EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
    EXPECT_EQ(next_event(b.get(), right->qp.get()), IBV_EVENT_QP_ACCESS_ERR);
    for (Endpoint* const end : {left.get(), right.get()}) {
      ibv_qp_attr attr{};
      attr.qp_state = IBV_QPS_RESET;
      ASSERT_EQ(ibv_modify_qp(end->qp.get(), &attr, IBV_QP_STATE), 0);
    }
    left->connect(*right);
    right->connect(*left);
    from.fill(static_cast<uint8_t>(round));
    ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), to.mr->rkey), 0);
    left->expect_success();
    EXPECT_EQ(from.data, to.data);
  }
  // A reset itself is no event.
  for (ibv_context* const context : {a.get(), b.get()}) {
    pollfd fd{context->async_fd, POLLIN, 0};
    EXPECT_EQ(::poll(&fd, 1, 20), 0);
  }
}

}  // namespace
}  // namespace peermr::test
