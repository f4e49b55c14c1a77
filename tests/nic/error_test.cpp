// SPDX-License-Identifier: BSD-2-Clause
//
// What goes wrong on the RC data path ends in the right completions, states and events on both
// sides.

#include <cstring>

#include "fixture.hpp"

namespace peermr::test {
namespace {

using std::chrono::milliseconds;

class Errors : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    connect();
  }

  pnic_cqe post_and_wait(const QueuePairClient::Send& send) {
    a_qp->post(send);
    a_qp->ring();
    return a->send_cq.next();
  }

  void expect_failed(const pnic_cqe& cqe, pnic_cqe_status status,
                     pnic_vendor_error why = PNIC_VERR_NONE) {
    EXPECT_EQ(cqe.status, status);
    EXPECT_EQ(cqe.vendor_err, why);
    EXPECT_EQ(a_qp->state(), PNIC_QPS_ERR);
  }

  void expect_b_event(pnic_qp_event code) {
    const pnic_eqe event = b->events.next();
    EXPECT_EQ(event.type, PNIC_EVENT_QP);
    EXPECT_EQ(event.code, code);
    EXPECT_EQ(event.object, b_qp->qpn);
    EXPECT_EQ(b_qp->state(), PNIC_QPS_ERR);
  }

  void reconnect() {
    a_qp->to_reset();
    b_qp->to_reset();
    connect();
  }
};

TEST_F(Errors, OwnKeyThatIsWrongIsALocalProtectionError) {
  const uint32_t other_pd = a->nic.alloc_pd();
  const uint32_t other_key = a->nic.create_mr(other_pd, a_bus, kIova, 4096, kAllAccess);
  const uint32_t read_only = a->nic.create_mr(a->pdn, a_bus, kIova, 4096, 0);
  const uint32_t revoked = a->nic.create_mr(a->pdn, a_bus, kIova, 4096, kAllAccess);
  ASSERT_TRUE(a->nic.invalidate(revoked, PNIC_INVALIDATE_REVOKE).ok());
  struct Case {
    uint8_t opcode;
    pnic_sge sge;
    pnic_vendor_error why;
  };
  const Case cases[] = {{PNIC_WQE_RDMA_WRITE, {kIova, 64, 0}, PNIC_VERR_BAD_KEY},
                        {PNIC_WQE_RDMA_WRITE, {kIova, 64, 0x12345678}, PNIC_VERR_BAD_KEY},
                        {PNIC_WQE_RDMA_WRITE, {kIova, 64, other_key}, PNIC_VERR_PD},
                        {PNIC_WQE_RDMA_WRITE, {kIova, 64, revoked}, PNIC_VERR_REVOKED},
                        {PNIC_WQE_RDMA_WRITE, {kIova - 1, 64, a_key}, PNIC_VERR_BOUNDS},
                        {PNIC_WQE_RDMA_WRITE, {kIova + kBytes - 63, 64, a_key}, PNIC_VERR_BOUNDS},
                        {PNIC_WQE_RDMA_WRITE, {~uint64_t{0} - 8, 64, a_key}, PNIC_VERR_BOUNDS},
                        {PNIC_WQE_RDMA_WRITE, {kIova, 0x7fffffff, a_key}, PNIC_VERR_BOUNDS},
                        {PNIC_WQE_RDMA_READ, {kIova, 64, read_only}, PNIC_VERR_ACCESS}};
  for (const Case& c : cases) {
    auto send = request(c.opcode, 0, 64);
    send.sges = {c.sge};
    expect_failed(post_and_wait(send), PNIC_CQE_LOC_PROT_ERR, c.why);
    EXPECT_EQ(b_qp->state(), PNIC_QPS_RTS);
    reconnect();
  }
  // A READ needs LOCAL_WRITE, a WRITE does not.
  auto send = request(PNIC_WQE_RDMA_WRITE, 0, 64);
  send.sges = {{kIova, 64, read_only}};
  EXPECT_EQ(post_and_wait(send).status, PNIC_CQE_SUCCESS);
}

TEST_F(Errors, RemoteKeyThatIsWrongIsARemoteAccessErrorOnBothSides) {
  const uint32_t other_pd = b->nic.alloc_pd();
  const uint32_t other_key = b->nic.create_mr(other_pd, b_bus, kIova, 4096, kAllAccess);
  const uint32_t no_write = b->nic.create_mr(b->pdn, b_bus, kIova, 4096, PNIC_ACCESS_REMOTE_READ);
  const uint32_t no_read = b->nic.create_mr(b->pdn, b_bus, kIova, 4096,
                                            PNIC_ACCESS_LOCAL_WRITE | PNIC_ACCESS_REMOTE_WRITE);
  const uint32_t revoked = b->nic.create_mr(b->pdn, b_bus, kIova, 4096, kAllAccess);
  ASSERT_TRUE(b->nic.invalidate(revoked, PNIC_INVALIDATE_REVOKE).ok());
  const uint32_t gone = b->nic.create_mr(b->pdn, b_bus, kIova, 4096, kAllAccess);
  ASSERT_TRUE(b->nic.on_object(PNIC_CMD_DESTROY_MR, gone).ok());
  struct Case {
    uint8_t opcode;
    uint32_t rkey;
    uint64_t address;
  };
  const Case cases[] = {{PNIC_WQE_RDMA_WRITE, 0, kIova},
                        {PNIC_WQE_RDMA_WRITE, gone, kIova},
                        {PNIC_WQE_RDMA_WRITE, revoked, kIova},
                        {PNIC_WQE_RDMA_WRITE, other_key, kIova},
                        {PNIC_WQE_RDMA_WRITE, no_write, kIova},
                        {PNIC_WQE_RDMA_READ, no_read, kIova},
                        {PNIC_WQE_RDMA_READ, b_key, kIova - 1},
                        {PNIC_WQE_RDMA_WRITE, b_key, kIova + kBytes - 63},
                        {PNIC_WQE_RDMA_WRITE, b_key, ~uint64_t{0} - 8}};
  uint64_t errors = 0;
  for (const Case& c : cases) {
    auto send = request(c.opcode, 0, 64);
    send.rkey = c.rkey;
    send.remote_addr = c.address;
    expect_failed(post_and_wait(send), PNIC_CQE_REM_ACCESS_ERR);
    expect_b_event(PNIC_QP_EVENT_ACCESS_ERR);
    EXPECT_EQ(b->nic.stat(PNIC_STAT_ACCESS_ERROR), ++errors);
    reconnect();
  }
}

TEST_F(Errors, TheQpsOwnAccessFlagsCount) {
  for (const uint8_t opcode : {PNIC_WQE_RDMA_WRITE, PNIC_WQE_RDMA_READ}) {
    a_qp->to_reset();
    b_qp->to_reset();
    connect({}, {.access = opcode == PNIC_WQE_RDMA_READ ? PNIC_ACCESS_REMOTE_WRITE
                                                        : PNIC_ACCESS_REMOTE_READ});
    expect_failed(post_and_wait(request(opcode, 0, 64)), PNIC_CQE_REM_ACCESS_ERR);
    expect_b_event(PNIC_QP_EVENT_ACCESS_ERR);
  }
}

TEST_F(Errors, AnErrorFlushesWhatFollowsInOrder) {
  for (uint64_t i = 0; i < 5; ++i) b_qp->post_receive(100 + i, {b_sge(0, 64)});
  b_qp->ring();
  auto bad = request(PNIC_WQE_RDMA_WRITE, 0, 64);
  bad.rkey = 0;
  bad.wr_id = 1;
  bad.flags = 0;  // unsignaled, and reported all the same
  a_qp->post(bad);
  for (uint64_t i = 2; i < 10; ++i) {
    auto send = request(PNIC_WQE_SEND, 0, 64);
    send.wr_id = i;
    a_qp->post(send);
  }
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_REM_ACCESS_ERR);
  for (uint64_t i = 2; i < 10; ++i) {
    const pnic_cqe cqe = a->send_cq.next();
    EXPECT_EQ(cqe.status, PNIC_CQE_WR_FLUSH_ERR);
    EXPECT_EQ(cqe.opcode, PNIC_CQE_SEND);
    EXPECT_EQ(cqe.wr_id, i);
  }
  for (uint64_t i = 0; i < 5; ++i) {
    const pnic_cqe cqe = b->recv_cq.next();
    EXPECT_EQ(cqe.status, PNIC_CQE_WR_FLUSH_ERR);
    EXPECT_EQ(cqe.wr_id, 100 + i);
    EXPECT_EQ(cqe.opcode, PNIC_CQE_RECV);
  }
  // What comes later is flushed too.
  a_qp->post(request(PNIC_WQE_SEND, 0, 64));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_WR_FLUSH_ERR);
  EXPECT_EQ(a->nic.stat(PNIC_STAT_WR_ERROR), 1u);
}

TEST_F(Errors, ModifyToErrorFlushesAndToResetDoesNot) {
  b_qp->post_receive(7, {b_sge(0, 64)});
  b_qp->ring();
  reconnect();
  EXPECT_TRUE(b->recv_cq.stays_empty(milliseconds(5)));
  b_qp->post_receive(8, {b_sge(0, 64)});
  b_qp->ring();
  pnic_qp_attr attr{};
  attr.state = PNIC_QPS_ERR;
  ASSERT_TRUE(b_qp->modify(PNIC_QP_ATTR_STATE, attr).ok());
  EXPECT_EQ(b->recv_cq.next().wr_id, 8u);
}

TEST_F(Errors, NoReceiveMeansRetriesAndThenAnError) {
  const pnic_cqe cqe = post_and_wait(request(PNIC_WQE_SEND, 0, 64));
  expect_failed(cqe, PNIC_CQE_RNR_RETRY_EXC_ERR);
  EXPECT_EQ(a->nic.stat(PNIC_STAT_RNR_NAK_RX), 3u);  // rnr_retry + 1 attempts
  EXPECT_EQ(b->nic.stat(PNIC_STAT_RNR_NAK_TX), 3u);
  EXPECT_EQ(b_qp->state(), PNIC_QPS_RTS);
}

TEST_F(Errors, AReceiveInTimeEndsTheRetries) {
  a_qp->to_reset();
  b_qp->to_reset();
  connect({.rnr_retry = 7}, {.min_rnr_timer = 14});
  a_qp->post(request(PNIC_WQE_SEND, 0, 64));
  a_qp->ring();
  EXPECT_TRUE(a->send_cq.stays_empty(milliseconds(20)));
  b_qp->post_receive(1, {b_sge(0, 64)});
  b_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(b->recv_cq.next().status, PNIC_CQE_SUCCESS);
}

TEST_F(Errors, AWriteWithImmediateNeedsAReceiveToo) {
  expect_failed(post_and_wait(request(PNIC_WQE_RDMA_WRITE_WITH_IMM, 0, 64)),
                PNIC_CQE_RNR_RETRY_EXC_ERR);
}

TEST_F(Errors, ReceiveTooSmall) {
  b_qp->post_receive(1, {b_sge(0, 63)});
  b_qp->ring();
  expect_failed(post_and_wait(request(PNIC_WQE_SEND, 0, 64)), PNIC_CQE_REM_INV_REQ_ERR);
  const pnic_cqe cqe = b->recv_cq.next();
  EXPECT_EQ(cqe.status, PNIC_CQE_LOC_LEN_ERR);
  EXPECT_EQ(cqe.wr_id, 1u);
  EXPECT_EQ(b_qp->state(), PNIC_QPS_ERR);
}

TEST_F(Errors, ReceiveWithABadKey) {
  const uint32_t read_only = b->nic.create_mr(b->pdn, b_bus, kIova, 4096, 0);
  for (const uint32_t key : {0u, read_only}) {
    b_qp->post_receive(1, {{kIova, 64, key}});
    b_qp->ring();
    expect_failed(post_and_wait(request(PNIC_WQE_SEND, 0, 64)), PNIC_CQE_REM_OP_ERR);
    EXPECT_EQ(b->recv_cq.next().status, PNIC_CQE_LOC_PROT_ERR);
    EXPECT_EQ(b_qp->state(), PNIC_QPS_ERR);
    reconnect();
  }
}

TEST_F(Errors, MalformedWqes) {
  const auto raw = [&](auto change) {
    std::vector<std::byte> wqe(512);
    pnic_sq_wqe head{};
    head.opcode = PNIC_WQE_RDMA_WRITE;
    head.flags = PNIC_WQE_SIGNALED;
    head.wr_id = 55;
    change(head);
    std::memcpy(wqe.data(), &head, sizeof(head));
    std::memset(wqe.data() + sizeof(head), 0xff, 100 * sizeof(std::byte));
    a_qp->post_raw(true, wqe);
    a_qp->ring();
    const pnic_cqe cqe = a->send_cq.next();
    EXPECT_EQ(cqe.wr_id, 55u);
    expect_failed(cqe, PNIC_CQE_LOC_QP_OP_ERR, PNIC_VERR_WQE);
    reconnect();
  };
  raw([](pnic_sq_wqe& w) { w.opcode = 5; });
  raw([](pnic_sq_wqe& w) { w.opcode = 255; });
  raw([](pnic_sq_wqe& w) { w.flags |= 0x10; });
  raw([](pnic_sq_wqe& w) { w.reserved = 1; });
  raw([](pnic_sq_wqe& w) { w.num_sge = 31; });
  raw([](pnic_sq_wqe& w) { w.num_sge = 255; });
  raw([](pnic_sq_wqe& w) { w.num_sge = 2; });  // two SGEs of 4 GiB each
  raw([](pnic_sq_wqe& w) { w.flags |= PNIC_WQE_INLINE, w.inline_len = 481; });
  raw([](pnic_sq_wqe& w) { w.flags |= PNIC_WQE_INLINE, w.inline_len = 0xffffffff; });
  raw([](pnic_sq_wqe& w) { w.flags |= PNIC_WQE_INLINE, w.num_sge = 1; });
  raw([](pnic_sq_wqe& w) { w.flags |= PNIC_WQE_INLINE, w.opcode = PNIC_WQE_RDMA_READ; });
  EXPECT_EQ(a->nic.stat(PNIC_STAT_BAD_WQE), 11u);

  std::vector<std::byte> receive(64);
  const pnic_rq_wqe head{.wr_id = 9, .num_sge = 4, .reserved = 0};  // the stride holds 3
  std::memcpy(receive.data(), &head, sizeof(head));
  b_qp->post_raw(false, receive);
  b_qp->ring();
  expect_failed(post_and_wait(request(PNIC_WQE_SEND, 0, 64)), PNIC_CQE_REM_OP_ERR);
  EXPECT_EQ(b->recv_cq.next().status, PNIC_CQE_LOC_QP_OP_ERR);
}

TEST_F(Errors, ImpossibleDoorbellsPutTheQpIntoError) {
  a->nic.ring_low(a_qp->slot, 1000);
  pnic_eqe event = a->events.next();
  EXPECT_EQ(event.code, PNIC_QP_EVENT_FATAL);
  EXPECT_EQ(a_qp->state(), PNIC_QPS_ERR);
  b->nic.ring_high(b_qp->slot, 0xffffffff);
  event = b->events.next();
  EXPECT_EQ(event.code, PNIC_QP_EVENT_FATAL);
  EXPECT_EQ(b_qp->state(), PNIC_QPS_ERR);
  EXPECT_EQ(a->nic.stat(PNIC_STAT_BAD_DOORBELL), 1u);
  reconnect();
  EXPECT_EQ(post_and_wait(request(PNIC_WQE_RDMA_WRITE, 0, 64)).status, PNIC_CQE_SUCCESS);
}

TEST_F(Errors, AnUnknownPeerIsSilence) {
  a_qp->to_reset();
  QueuePairClient::Connection nowhere;
  nowhere.lid = 77;
  nowhere.qpn = b_qp->qpn;
  a_qp->connect(nowhere);
  expect_failed(post_and_wait(request(PNIC_WQE_RDMA_WRITE, 0, 64)), PNIC_CQE_RETRY_EXC_ERR);
  EXPECT_EQ(a->nic.stat(PNIC_STAT_TIMEOUT), 3u);  // retry_cnt + 1
}

TEST_F(Errors, AQpTalksToItsPeerOnly) {
  QueuePairClient stranger(a->nic, a->pdn, a->send_cq, a->recv_cq);
  stranger.connect({.lid = 2, .qpn = b_qp->qpn});
  stranger.post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  stranger.ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_RETRY_EXC_ERR);
  EXPECT_EQ(b_qp->state(), PNIC_QPS_RTS);
}

TEST_F(Errors, CompletionQueueOverflow) {
  CompletionRing small(a->nic, a->events.eqn, 1);
  QueuePairClient qp(a->nic, a->pdn, small, a->recv_cq);
  QueuePairClient other(b->nic, b->pdn, b->send_cq, b->recv_cq);
  qp.connect({.lid = 2, .qpn = other.qpn});
  other.connect({.lid = 1, .qpn = qp.qpn});
  for (int i = 0; i < 4; ++i) qp.post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  qp.ring();
  const pnic_eqe event = a->events.next();
  EXPECT_EQ(event.type, PNIC_EVENT_CQ_ERROR);
  EXPECT_EQ(event.object, small.cqn);
  EXPECT_EQ(qp.state(), PNIC_QPS_ERR);
  EXPECT_EQ(small.next().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(small.next().status, PNIC_CQE_SUCCESS);
  EXPECT_FALSE(small.poll().has_value());  // nothing was written over
  EXPECT_EQ(a->nic.stat(PNIC_STAT_CQ_OVERFLOW), 1u);
}

TEST_F(Errors, MemoryThatIsNotMappedIsCounted) {
  // The driver unmaps memory of a valid MR: its fault, told and survived.
  const uint64_t far = 0x9'0000'0000;
  GuestMemory extra(1 << 20);
  ASSERT_TRUE(b->nic.vfio.dma_map(far, 1 << 20, 0, extra.fd()).ok());
  const uint32_t key = b->nic.create_mr(b->pdn, far, kIova, 1 << 20, kAllAccess);
  auto write = request(PNIC_WQE_RDMA_WRITE, 0, 1 << 20);
  write.rkey = key;
  EXPECT_EQ(post_and_wait(write).status, PNIC_CQE_SUCCESS);
  ASSERT_TRUE(b->nic.vfio.dma_unmap(far, 1 << 20).ok());
  expect_failed(post_and_wait(write), PNIC_CQE_REM_OP_ERR);
  expect_b_event(PNIC_QP_EVENT_FATAL);
  EXPECT_EQ(b->nic.stat(PNIC_STAT_DMA_UNMAPPED), 1u);
  check_self_tests = false;
}

TEST_F(Errors, ReadOnlyMemoryIsNotWritten) {
  const uint64_t far = 0x9'0000'0000;
  GuestMemory extra(1 << 20);
  ASSERT_TRUE(b->nic.vfio.dma_map(far, 1 << 20, 0, extra.fd(), 1).ok());
  const uint32_t key = b->nic.create_mr(b->pdn, far, kIova, 1 << 20, kAllAccess);
  auto send = request(PNIC_WQE_RDMA_READ, 0, 4096);
  send.rkey = key;
  EXPECT_EQ(post_and_wait(send).status, PNIC_CQE_SUCCESS);
  send.opcode = PNIC_WQE_RDMA_WRITE;
  expect_failed(post_and_wait(send), PNIC_CQE_REM_OP_ERR);
  check_self_tests = false;
}

class Events : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    a->nic.use_eventfd(1);
    b->nic.use_eventfd(1);
    connect();
  }
  void write_once(uint8_t flags = PNIC_WQE_SIGNALED) {
    auto send = request(PNIC_WQE_RDMA_WRITE, 0, 64);
    send.flags = flags;
    a_qp->post(send);
    a_qp->ring();
  }
};

TEST_F(Events, AnArmedCqRaisesOneEvent) {
  a->events.arm();
  a->send_cq.arm(PNIC_ARM_ANY);
  EXPECT_FALSE(a->events.poll().has_value());
  write_once();
  write_once();
  const pnic_eqe event = a->events.next();
  EXPECT_EQ(event.type, PNIC_EVENT_COMPLETION);
  EXPECT_EQ(event.object, a->send_cq.cqn);
  EXPECT_TRUE(eventually([&] { return a->nic.interrupts(1) == 1; }));
  a->send_cq.next();
  a->send_cq.next();
  EXPECT_FALSE(a->events.poll().has_value());
}

TEST_F(Events, ArmingBehindAnEntryFiresAtOnce) {
  write_once();
  ASSERT_TRUE(eventually([&] { return a->send_cq.poll(false).has_value(); }));
  a->send_cq.consumed -= 1;  // not consumed after all
  a->events.arm();
  a->send_cq.arm(PNIC_ARM_ANY);
  EXPECT_EQ(a->events.next().type, PNIC_EVENT_COMPLETION);
}

TEST_F(Events, SolicitedArmingWaitsForASolicitedOrFailedEntry) {
  b->recv_cq.arm(PNIC_ARM_SOLICITED);
  for (uint64_t i = 0; i < 3; ++i) b_qp->post_receive(i, {b_sge(0, 64)});
  b_qp->ring();
  auto send = request(PNIC_WQE_SEND, 0, 64);
  a_qp->post(send);
  a_qp->ring();
  b->recv_cq.next();
  EXPECT_FALSE(b->events.poll().has_value());
  send.flags |= PNIC_WQE_SOLICITED;
  a_qp->post(send);
  a_qp->ring();
  EXPECT_TRUE(b->recv_cq.next().flags & PNIC_CQE_FLAG_SOLICITED);
  EXPECT_EQ(b->events.next().type, PNIC_EVENT_COMPLETION);
  b->recv_cq.arm(PNIC_ARM_SOLICITED);
  pnic_qp_attr attr{};
  attr.state = PNIC_QPS_ERR;
  b_qp->modify(PNIC_QP_ATTR_STATE, attr);
  EXPECT_EQ(b->events.next().type, PNIC_EVENT_COMPLETION);
}

TEST_F(Events, EventsWaitForRoomInTheRing) {
  // 16 entries; 40 CQs want to tell something.
  EventRing small(a->nic, 2, 4);
  std::vector<std::unique_ptr<CompletionRing>> cqs;
  std::vector<std::unique_ptr<QueuePairClient>> qps;
  for (int i = 0; i < 40; ++i) {
    cqs.push_back(std::make_unique<CompletionRing>(a->nic, small.eqn, 2));
    qps.push_back(std::make_unique<QueuePairClient>(a->nic, a->pdn, *cqs.back(), *cqs.back(),
                                                    QueuePairClient::Options{.log_size = 1}));
    qps.back()->connect({.lid = 1, .qpn = qps.back()->qpn});
    cqs.back()->arm(PNIC_ARM_ANY);
    auto send = request(PNIC_WQE_RDMA_WRITE, 0, 8);
    send.rkey = a_key;
    qps.back()->post(send);
    qps.back()->ring();
    cqs.back()->next();
  }
  std::vector<bool> told(1000, false);
  for (int i = 0; i < 40; ++i) {
    const pnic_eqe event = small.next();
    EXPECT_EQ(event.type, PNIC_EVENT_COMPLETION);
    EXPECT_FALSE(told.at(event.object));
    told.at(event.object) = true;
  }
}

TEST_F(Events, CommunicationIsEstablishedInRtr) {
  b_qp->to_reset();
  const QueuePairClient::Connection to{.lid = 1, .qpn = a_qp->qpn};
  ASSERT_TRUE(
      b_qp->modify(QueuePairClient::kInitMask, QueuePairClient::attributes(to, PNIC_QPS_INIT))
          .ok());
  ASSERT_TRUE(
      b_qp->modify(QueuePairClient::kRtrMask, QueuePairClient::attributes(to, PNIC_QPS_RTR)).ok());
  write_once();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(b->events.next().code, PNIC_QP_EVENT_COMM_EST);
}

TEST_F(Events, AnEventQueueOutOfReachIsFatal) {
  const uint64_t far = 0x9'0000'0000;
  GuestMemory extra(1 << 20);
  ASSERT_TRUE(a->nic.vfio.dma_map(far, 1 << 20, 0, extra.fd()).ok());
  pnic_cmd c = PnicClient::command(PNIC_CMD_CREATE_EQ);
  c.u.create_eq = {.vector = 2,
                   .uar = a->nic.uar(),
                   .slot = 400,
                   .log_size = 4,
                   .reserved = {},
                   .pages = a->nic.list(far, 512)};
  const auto eqn = static_cast<uint32_t>(a->nic.must(c));
  CompletionRing cq(a->nic, eqn);
  QueuePairClient qp(a->nic, a->pdn, cq, cq);
  qp.connect({.lid = 1, .qpn = qp.qpn});
  cq.arm(PNIC_ARM_ANY);
  ASSERT_TRUE(a->nic.vfio.dma_unmap(far, 1 << 20).ok());
  auto send = request(PNIC_WQE_RDMA_WRITE, 0, 8);
  send.rkey = a_key;
  qp.post(send);
  qp.ring();
  EXPECT_TRUE(eventually([&] {
    return a->nic.reg(PNIC_REG_STATUS) ==
           (PNIC_STATUS_FATAL | PNIC_FATAL_EQ_DMA << PNIC_STATUS_REASON_SHIFT);
  }));
  // The driver's own EQ still works: it is told.
  const pnic_eqe event = a->events.next();
  EXPECT_EQ(event.type, PNIC_EVENT_FATAL);
  EXPECT_EQ(event.code, PNIC_FATAL_EQ_DMA);
  check_self_tests = false;
}

}  // namespace
}  // namespace peermr::test
