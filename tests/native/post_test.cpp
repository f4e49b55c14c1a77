// SPDX-License-Identifier: BSD-2-Clause
// ibv_post_send and ibv_post_recv: what is refused at once, and how full queues empty.
#include <cerrno>

#include "support.hpp"

namespace peermr::test {
namespace {

using Post = Connected;

TEST_F(Post, TheWorkRequestThatDoesNotFitIsTheBadOne) {
  QpOptions small;
  small.max_wr = 4;
  connect(small, {});
  const uint32_t room = left->cap.max_send_wr;
  // No receive on the other side: they stay.
  std::vector<ibv_send_wr> wrs(room + 2);
  for (size_t i = 0; i < wrs.size(); ++i) {
    wrs[i].opcode = IBV_WR_SEND;
    wrs[i].send_flags = IBV_SEND_SIGNALED;
    wrs[i].wr_id = i;
    wrs[i].next = i + 1 < wrs.size() ? &wrs[i + 1] : nullptr;
  }
  ibv_send_wr* bad = nullptr;
  EXPECT_EQ(ibv_post_send(left->qp.get(), wrs.data(), &bad), ENOMEM);
  EXPECT_EQ(bad, &wrs[room]);
  // Those before it were posted, and their room comes back with their completions.
  for (uint32_t i = 0; i < room; ++i) ASSERT_EQ(right->post_recv({}), 0);
  for (uint32_t i = 0; i < room; ++i) EXPECT_EQ(left->expect_success().wr_id, i);
  ASSERT_EQ(right->post_recv({}), 0);
  EXPECT_EQ(left->post_send(IBV_WR_SEND, {}), 0);
  left->expect_success();
}

TEST_F(Post, TheReceiveThatDoesNotFitIsTheBadOne) {
  const uint32_t room = right->cap.max_recv_wr;
  for (uint32_t i = 0; i < room; ++i) ASSERT_EQ(right->post_recv({}), 0);
  EXPECT_EQ(right->post_recv({}), ENOMEM);
}

TEST_F(Post, UnsignaledWorkIsRetiredByTheNextCompletion) {
  Buffer from(left->pd.get(), 8);
  Buffer to(right->pd.get(), 8);
  const uint32_t room = left->cap.max_send_wr;
  for (int round = 0; round < 4; ++round) {
    for (uint32_t i = 0; i < room; ++i)
      ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, i, to.address(), to.mr->rkey,
                                i + 1 == room ? IBV_SEND_SIGNALED : 0),
                0);
    EXPECT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), to.mr->rkey),
              ENOMEM);
    EXPECT_EQ(left->expect_success().wr_id, room - 1);
    EXPECT_TRUE(left->stays_silent(5));
  }
}

TEST_F(Post, SignalAllSignalsAll) {
  QpOptions all;
  all.sq_sig_all = true;
  connect(all, {});
  ASSERT_EQ(right->post_recv({}), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {}, 5, 0, 0, 0), 0);
  EXPECT_EQ(left->expect_success().wr_id, 5u);
}

TEST_F(Post, MalformedSendsAreRefusedAtOnce) {
  Buffer memory(left->pd.get(), 4096);
  const uint32_t too_long = left->cap.max_inline_data + 1;
  EXPECT_EQ(left->post_send(IBV_WR_ATOMIC_CMP_AND_SWP, {memory.sge(0, 8)}), EINVAL);
  EXPECT_EQ(left->post_send(IBV_WR_SEND,
                            std::vector<ibv_sge>(left->cap.max_send_sge + 1, memory.sge(0, 1))),
            EINVAL);
  EXPECT_EQ(left->post_send(IBV_WR_SEND, {memory.sge(0, too_long)}, 0, 0, 0, IBV_SEND_INLINE),
            EINVAL);
  EXPECT_EQ(left->post_send(IBV_WR_SEND, {memory.sge(0, too_long - 1), memory.sge(0, UINT32_MAX)},
                            0, 0, 0, IBV_SEND_INLINE),
            EINVAL);
  EXPECT_EQ(left->post_send(IBV_WR_RDMA_READ, {memory.sge(0, 8)}, 0, 0, 0, IBV_SEND_INLINE),
            EINVAL);
  EXPECT_EQ(left->post_send(IBV_WR_SEND, {}, 0, 0, 0, IBV_SEND_IP_CSUM), EINVAL);
  EXPECT_EQ(right->post_recv(std::vector<ibv_sge>(right->cap.max_recv_sge + 1, ibv_sge{})), EINVAL);
  // None of them has left a trace.
  ASSERT_EQ(right->post_recv({}), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {}), 0);
  left->expect_success();
}

TEST_F(Post, NothingCanBeSentBeforeTheQueuePairIsReady) {
  Endpoint end(a.get());
  EXPECT_EQ(end.post_recv({}), EINVAL);
  EXPECT_EQ(end.post_send(IBV_WR_SEND, {}), EINVAL);
  end.to_init();
  EXPECT_EQ(end.post_recv({}), 0);
  EXPECT_EQ(end.post_send(IBV_WR_SEND, {}), EINVAL);
}

TEST_F(Post, ReceivesMayBePostedBeforeTheConnection) {
  Endpoint one(a.get());
  Endpoint two(b.get());
  Buffer to(two.pd.get(), 64, 1);
  Buffer from(one.pd.get(), 64, 2);
  two.to_init();
  ASSERT_EQ(two.post_recv({to.sge()}, 4), 0);
  two.connect(one);
  one.connect(two);
  ASSERT_EQ(one.post_send(IBV_WR_SEND, {from.sge()}), 0);
  one.expect_success();
  EXPECT_EQ(two.expect_success().wr_id, 4u);
  EXPECT_EQ(from.data, to.data);
}

}  // namespace
}  // namespace peermr::test
