// SPDX-License-Identifier: BSD-2-Clause
// Completion queues: events, arming, the extended poll, rings that wrap.
#include <poll.h>

#include <cerrno>

#include "support.hpp"

namespace peermr::test {
namespace {

class Events : public Connected {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    channel.reset(ibv_create_comp_channel(b.get()));
    ASSERT_NE(channel, nullptr);
    QpOptions with_channel;
    with_channel.channel = channel.get();
    connect({}, with_channel);
  }
  void TearDown() override {
    left.reset();
    right.reset();
    channel.reset();
    TwoNics::TearDown();
  }
  bool has_event(int ms) {
    pollfd fd{channel->fd, POLLIN, 0};
    return ::poll(&fd, 1, ms) == 1;
  }
  void take_event() {
    ASSERT_TRUE(has_event(2000));
    ibv_cq* cq = nullptr;
    void* context = nullptr;
    ASSERT_EQ(ibv_get_cq_event(channel.get(), &cq, &context), 0);
    EXPECT_EQ(cq, right->cq.get());
    ibv_ack_cq_events(cq, 1);
  }
  void message(unsigned flags = 0) {
    ASSERT_EQ(right->post_recv({}), 0);
    ASSERT_EQ(left->post_send(IBV_WR_SEND, {}, 0, 0, 0, IBV_SEND_SIGNALED | flags), 0);
    left->expect_success();
  }
  ChannelPtr channel;
};

TEST_F(Events, AnArmedQueueTellsOfTheNextCompletionOnce) {
  ASSERT_EQ(ibv_req_notify_cq(right->cq.get(), 0), 0);
  EXPECT_FALSE(has_event(20));
  message();
  take_event();
  message();
  EXPECT_FALSE(has_event(20));
}

TEST_F(Events, AQueueThatIsNotArmedIsSilent) {
  message();
  EXPECT_FALSE(has_event(20));
}

TEST_F(Events, ArmingFindsACompletionThatCameBefore) {
  message();
  right->expect_success();
  message();
  ASSERT_EQ(ibv_req_notify_cq(right->cq.get(), 0), 0);
  take_event();
}

TEST_F(Events, ArmingForSolicitedIgnoresTheOthers) {
  ASSERT_EQ(ibv_req_notify_cq(right->cq.get(), 1), 0);
  message();
  EXPECT_FALSE(has_event(20));
  message(IBV_SEND_SOLICITED);
  take_event();
}

TEST_F(Events, ManyRoundsLoseNone) {
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(ibv_req_notify_cq(right->cq.get(), 0), 0);
    message();
    take_event();
    right->expect_success();
  }
}

TEST_F(Events, AQueueWithAnEventThatNobodyReadCanBeDestroyed) {
  ASSERT_EQ(ibv_req_notify_cq(right->cq.get(), 0), 0);
  message();
  ASSERT_TRUE(has_event(2000));
  right->qp.reset();
  right->cq.reset();
  EXPECT_FALSE(has_event(0));
}

using Completions = Connected;

TEST_F(Completions, ASmallRingWrapsManyTimes) {
  for (const uint32_t cqe : {1u, 2u, 3u}) {
    QpOptions tiny;
    tiny.cqe = cqe;
    connect(tiny, tiny);
    for (int i = 0; i < 50; ++i) {
      ASSERT_EQ(right->post_recv({}, static_cast<uint64_t>(i)), 0);
      ASSERT_EQ(left->post_send(IBV_WR_SEND, {}), 0);
      left->expect_success();
      ASSERT_EQ(right->expect_success().wr_id, static_cast<uint64_t>(i));
    }
  }
}

TEST_F(Completions, AnOverflowIsAnEventAndEndsTheQueuePair) {
  QpOptions tiny;
  tiny.cqe = 2;
  connect({}, tiny);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(right->post_recv({}), 0);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(left->post_send(IBV_WR_SEND, {}), 0);
  pollfd fd{b->async_fd, POLLIN, 0};
  ASSERT_EQ(::poll(&fd, 1, 2000), 1);
  ibv_async_event event{};
  ASSERT_EQ(ibv_get_async_event(b.get(), &event), 0);
  EXPECT_TRUE(event.event_type == IBV_EVENT_CQ_ERR || event.event_type == IBV_EVENT_QP_FATAL)
      << event.event_type;
  ibv_ack_async_event(&event);
}

TEST_F(Completions, OfADestroyedQueuePairAreForgotten) {
  const CqPtr cq(ibv_create_cq(b.get(), 64, nullptr, nullptr, 0));
  ibv_qp_init_attr attr{};
  attr.send_cq = attr.recv_cq = cq.get();
  attr.cap = {8, 8, 1, 1, 0};
  attr.qp_type = IBV_QPT_RC;
  std::vector<QpPtr> qps;
  for (int i = 0; i < 2; ++i) {
    qps.emplace_back(ibv_create_qp(right->pd.get(), &attr));
    ibv_qp_attr change{};
    change.qp_state = IBV_QPS_INIT;
    change.port_num = 1;
    ASSERT_EQ(ibv_modify_qp(qps.back().get(), &change,
                            IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS),
              0);
  }
  // Flushed receives of both, in turns.
  for (uint64_t i = 0; i < 8; ++i) {
    ibv_recv_wr wr{};
    wr.wr_id = i;
    ibv_recv_wr* bad = nullptr;
    ASSERT_EQ(ibv_post_recv(qps[i % 2].get(), &wr, &bad), 0);
  }
  for (const QpPtr& qp : qps) {
    ibv_qp_attr change{};
    change.qp_state = IBV_QPS_ERR;
    ASSERT_EQ(ibv_modify_qp(qp.get(), &change, IBV_QP_STATE), 0);
  }
  const uint32_t kept = qps[1]->qp_num;
  qps.erase(qps.begin());
  right->cq.swap(const_cast<CqPtr&>(cq));
  for (int i = 0; i < 4; ++i) {
    const ibv_wc wc = right->wait();
    EXPECT_EQ(wc.qp_num, kept);
    EXPECT_EQ(wc.status, IBV_WC_WR_FLUSH_ERR);
  }
  EXPECT_TRUE(right->stays_silent());
  right->cq.swap(const_cast<CqPtr&>(cq));
}

class Extended : public TwoNics {
 protected:
  /// An RC pair whose right side completes to `cq`, of which `wc_flags` are asked.
  void make(uint64_t wc_flags, uint32_t flags = 0) {
    ibv_cq_init_attr_ex attr{};
    attr.cqe = 16;
    attr.wc_flags = wc_flags;
    if (flags != 0) {
      attr.comp_mask = IBV_CQ_INIT_ATTR_MASK_FLAGS;
      attr.flags = flags;
    }
    cq = ibv_create_cq_ex(b.get(), &attr);
    ASSERT_NE(cq, nullptr);
    left = std::make_unique<Endpoint>(a.get());
    right = std::make_unique<Endpoint>(b.get());
    right->qp.reset();
    ibv_qp_init_attr init{};
    init.send_cq = init.recv_cq = ibv_cq_ex_to_cq(cq);
    init.cap = {16, 16, 1, 1, 0};
    init.qp_type = IBV_QPT_RC;
    right->qp.reset(ibv_create_qp(right->pd.get(), &init));
    left->connect(*right);
    right->connect(*left);
  }
  void TearDown() override {
    left.reset();
    right.reset();
    if (cq != nullptr) {
      EXPECT_EQ(ibv_destroy_cq(ibv_cq_ex_to_cq(cq)), 0);
    }
    TwoNics::TearDown();
  }
  void start() {
    ibv_poll_cq_attr poll{};
    int error = ENOENT;
    for (int i = 0; i < 2000 && error == ENOENT; ++i) {
      error = ibv_start_poll(cq, &poll);
      if (error == ENOENT) ::poll(nullptr, 0, 1);
    }
    ASSERT_EQ(error, 0);
  }
  ibv_cq_ex* cq = nullptr;
  std::unique_ptr<Endpoint> left;
  std::unique_ptr<Endpoint> right;
};

TEST_F(Extended, FieldsAreThoseOfTheCompletion) {
  make(uint64_t{IBV_WC_STANDARD_FLAGS} | IBV_WC_EX_WITH_COMPLETION_TIMESTAMP);
  Buffer from(left->pd.get(), 100, 1);
  Buffer to(right->pd.get(), 100, 2);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_EQ(right->post_recv({to.sge()}, 50 + i), 0);
  for (uint32_t i = 0; i < 3; ++i) {
    ASSERT_EQ(left->post_send(IBV_WR_SEND_WITH_IMM, {from.sge(0, 10 + i)}, 0, 0, 0,
                              IBV_SEND_SIGNALED, 0x1000 + i),
              0);
    left->expect_success();
  }
  uint64_t last_time = 0;
  start();
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(cq->wr_id, 50 + i);
    EXPECT_EQ(cq->status, IBV_WC_SUCCESS);
    EXPECT_EQ(ibv_wc_read_opcode(cq), IBV_WC_RECV);
    EXPECT_EQ(ibv_wc_read_byte_len(cq), 10 + i);
    EXPECT_EQ(ibv_wc_read_qp_num(cq), right->qp->qp_num);
    EXPECT_EQ(be32toh(ibv_wc_read_imm_data(cq)), 0x1000 + i);
    EXPECT_NE(ibv_wc_read_wc_flags(cq) & IBV_WC_WITH_IMM, 0u);
    EXPECT_GT(ibv_wc_read_completion_ts(cq), last_time);
    last_time = ibv_wc_read_completion_ts(cq);
    EXPECT_EQ(ibv_next_poll(cq), i < 2 ? 0 : ENOENT);
  }
  ibv_end_poll(cq);
}

TEST_F(Extended, AnEmptyQueueNeedsNoEnd) {
  make(IBV_WC_STANDARD_FLAGS);
  ibv_poll_cq_attr poll{};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ibv_start_poll(cq, &poll), ENOENT);
  poll.comp_mask = 1;
  EXPECT_EQ(ibv_start_poll(cq, &poll), EINVAL);
}

TEST_F(Extended, ItWrapsLikeAnyOther) {
  make(IBV_WC_EX_WITH_BYTE_LEN, IBV_CREATE_CQ_ATTR_SINGLE_THREADED);
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_EQ(right->post_recv({}, i), 0);
    ASSERT_EQ(left->post_send(IBV_WR_SEND, {}), 0);
    left->expect_success();
    start();
    EXPECT_EQ(cq->wr_id, i);
    ibv_end_poll(cq);
  }
}

TEST_F(Extended, WhatIsNotKnownIsRefused) {
  ibv_cq_init_attr_ex attr{};
  attr.cqe = 16;
  attr.wc_flags = IBV_WC_EX_WITH_CVLAN;
  EXPECT_EQ(ibv_create_cq_ex(a.get(), &attr), nullptr);
  EXPECT_EQ(errno, EOPNOTSUPP);
  attr.wc_flags = 0;
  attr.comp_mask = IBV_CQ_INIT_ATTR_MASK_FLAGS;
  attr.flags = IBV_CREATE_CQ_ATTR_IGNORE_OVERRUN;
  EXPECT_EQ(ibv_create_cq_ex(a.get(), &attr), nullptr);
  EXPECT_EQ(errno, EOPNOTSUPP);
}

}  // namespace
}  // namespace peermr::test
