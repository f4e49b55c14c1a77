// SPDX-License-Identifier: BSD-2-Clause
//
// Memory without a descriptor: the device reaches it by messages to the client, and waits for none
// of them.

#include <cstring>

#include "fixture.hpp"

namespace peermr::test {
namespace {

using std::chrono::milliseconds;

class RemoteMemory : public TwoNics {
 protected:
  static constexpr uint64_t kFar = 0xa'0000'0000;
  static constexpr uint64_t kFarBytes = 1 << 20;

  void SetUp() override {
    TwoNics::SetUp();
    connect({.timeout = 10, .retry_cnt = 7, .rnr_retry = 7});
    for (Side* side : {a.get(), b.get()}) {
      side->nic.vfio.remote.address = kFar;
      side->nic.vfio.remote.bytes.resize(kFarBytes);
      ASSERT_TRUE(side->nic.vfio.dma_map(kFar, kFarBytes, 0, -1).ok());
    }
    far_key_a = a->nic.create_mr(a->pdn, kFar, kIova, kFarBytes, kAllAccess, PNIC_MR_FAULTABLE);
    far_key_b = b->nic.create_mr(b->pdn, kFar, kIova, kFarBytes, kAllAccess, PNIC_MR_FAULTABLE);
  }

  /// The next completion, while both clients serve their devices.
  pnic_cqe next_served() {
    std::optional<pnic_cqe> cqe;
    const bool there = eventually([&] {
      a->nic.vfio.serve(0);
      b->nic.vfio.serve(0);
      return (cqe = a->send_cq.poll()).has_value();
    });
    if (!there) throw std::runtime_error("no completion");
    return *cqe;
  }

  QueuePairClient::Send far_request(uint8_t opcode, uint32_t length, bool far_local,
                                    bool far_remote) const {
    auto send = request(opcode, 0, length);
    if (far_local) send.sges[0].lkey = far_key_a;
    if (far_remote) send.rkey = far_key_b;
    return send;
  }

  std::byte* local(bool far) { return far ? a->nic.vfio.remote.bytes.data() : memory->at(a_bus); }
  std::byte* remote(bool far) { return far ? b->nic.vfio.remote.bytes.data() : memory->at(b_bus); }

  uint32_t far_key_a = 0;
  uint32_t far_key_b = 0;
};

TEST_F(RemoteMemory, DataArrivesInEveryCombination) {
  for (const uint32_t length : {8u, 4096u, 300000u}) {
    for (int combination = 1; combination < 4; ++combination) {
      const bool far_local = (combination & 1) != 0;
      const bool far_remote = (combination & 2) != 0;
      for (const uint8_t opcode : {PNIC_WQE_RDMA_WRITE, PNIC_WQE_RDMA_READ}) {
        const bool write = opcode == PNIC_WQE_RDMA_WRITE;
        fill_pattern({local(far_local), length}, write ? 1 : 2);
        fill_pattern({remote(far_remote), length}, write ? 2 : 1);
        a_qp->post(far_request(opcode, length, far_local, far_remote));
        a_qp->ring();
        ASSERT_EQ(next_served().status, PNIC_CQE_SUCCESS) << length << " " << combination;
        EXPECT_TRUE(has_pattern({write ? remote(far_remote) : local(far_local), length}, 1))
            << length << " " << combination << " " << int(opcode);
      }
    }
  }
  EXPECT_GT(a->nic.vfio.dma_requests, 0u);
  EXPECT_GT(b->nic.vfio.dma_requests, 0u);
}

TEST_F(RemoteMemory, AReceiveBufferMayBeFar) {
  b_qp->post_receive(1, {{kIova, 4096, far_key_b}});
  b_qp->ring();
  fill_pattern(memory->span(a_bus, 4096), 3);
  a_qp->post(request(PNIC_WQE_SEND, 0, 4096));
  a_qp->ring();
  EXPECT_EQ(next_served().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(b->recv_cq.next().byte_len, 4096u);
  EXPECT_TRUE(has_pattern({remote(true), 4096}, 3));
}

TEST_F(RemoteMemory, RegistersAreServedWhileARequestIsUnderWay) {
  b->nic.vfio.hold_dma = true;
  a_qp->post(far_request(PNIC_WQE_RDMA_WRITE, 64, false, true));
  a_qp->ring();
  ASSERT_TRUE(eventually([&] {
    b->nic.vfio.serve(0);
    return b->nic.vfio.dma_requests > 0;
  }));
  EXPECT_EQ(b->nic.reg(PNIC_REG_MAGIC), PNIC_MAGIC);
  EXPECT_TRUE(b->nic.vfio.dma_unmap(kFar, kFarBytes)
                  .ok());  // answered at once, though a VMM could not answer us now
  b->nic.vfio.hold_dma = false;
  b->nic.vfio.release_dma();
  EXPECT_EQ(next_served().status, PNIC_CQE_SUCCESS);
}

TEST_F(RemoteMemory, TheFenceWaitsForARequestUnderWay) {
  b->nic.vfio.hold_dma = true;
  a_qp->post(far_request(PNIC_WQE_RDMA_WRITE, 64, false, true));
  a_qp->ring();
  ASSERT_TRUE(eventually([&] {
    b->nic.vfio.serve(0);
    return b->nic.vfio.dma_requests > 0;
  }));
  pnic_cmd c = PnicClient::command(PNIC_CMD_INVALIDATE_MR);
  c.u.invalidate_mr.key = far_key_b;
  const uint16_t fence = b->nic.submit(c);
  // Later commands may overtake it.
  EXPECT_TRUE(b->nic.admin(PnicClient::command(PNIC_CMD_ALLOC_PD)).ok());
  EXPECT_FALSE(b->nic.poll_completion(fence).has_value());
  b->nic.vfio.hold_dma = false;
  b->nic.vfio.release_dma();
  EXPECT_TRUE(b->nic.finish(fence).ok());
  EXPECT_EQ(next_served().status, PNIC_CQE_SUCCESS);
}

TEST_F(RemoteMemory, AFailedRequestFailsTheWr) {
  b->nic.vfio.remote.fail = true;
  a_qp->post(far_request(PNIC_WQE_RDMA_WRITE, 64, false, true));
  a_qp->ring();
  EXPECT_EQ(next_served().status, PNIC_CQE_REM_OP_ERR);
  EXPECT_EQ(b->events.next().code, PNIC_QP_EVENT_FATAL);
  a_qp->to_reset();
  b_qp->to_reset();
  connect();
  a->nic.vfio.remote.fail = true;
  a_qp->post(far_request(PNIC_WQE_RDMA_WRITE, 64, true, false));
  a_qp->ring();
  EXPECT_EQ(next_served().status, PNIC_CQE_LOC_PROT_ERR);
  check_self_tests = false;
}

TEST_F(RemoteMemory, AFetchedPayloadSurvivesRetries) {
  fill_pattern({local(true), 4096}, 6);
  auto send = far_request(PNIC_WQE_SEND, 4096, true, false);
  a_qp->post(send);
  a_qp->ring();
  for (int i = 0; i < 50; ++i) a->nic.vfio.serve(1);
  EXPECT_GT(b->nic.stat(PNIC_STAT_RNR_NAK_TX), 1u);
  b_qp->post_receive(1, {b_sge(0, 4096)});
  b_qp->ring();
  EXPECT_EQ(next_served().status, PNIC_CQE_SUCCESS);
  EXPECT_TRUE(has_pattern(memory->span(b_bus, 4096), 6));
}

TEST_F(RemoteMemory, ASlowAnswerIsWaitedFor) {
  b->nic.vfio.hold_dma = true;
  a_qp->post(far_request(PNIC_WQE_RDMA_WRITE, 64, false, true));
  a_qp->ring();
  const auto end = std::chrono::steady_clock::now() + milliseconds(100);
  while (std::chrono::steady_clock::now() < end) b->nic.vfio.serve(1);
  EXPECT_EQ(b->nic.vfio.dma_requests, 1u);
  EXPECT_FALSE(a->send_cq.poll().has_value());
  b->nic.vfio.hold_dma = false;
  b->nic.vfio.release_dma();
  EXPECT_EQ(next_served().status, PNIC_CQE_SUCCESS);
}

TEST_F(RemoteMemory, AResponderThatIsResetMeanwhileIsSilence) {
  b->nic.vfio.hold_dma = true;
  a_qp->post(far_request(PNIC_WQE_RDMA_WRITE, 64, false, true));
  a_qp->ring();
  ASSERT_TRUE(eventually([&] {
    b->nic.vfio.serve(0);
    return b->nic.vfio.dma_requests > 0;
  }));
  b_qp->to_reset();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_RETRY_EXC_ERR);
  b->nic.vfio.hold_dma = false;
  b->nic.vfio.release_dma();
}

TEST_F(RemoteMemory, BusMasteringOffLosesTheTransferAndNotTheRequest) {
  for (Side* side : {a.get(), b.get()}) {
    const bool is_a = side == a.get();
    side->nic.vfio.hold_dma = true;
    const size_t before = side->nic.vfio.dma_requests;
    a_qp->post(far_request(PNIC_WQE_RDMA_WRITE, 64, is_a, !is_a));
    a_qp->ring();
    ASSERT_TRUE(eventually([&] {
      side->nic.vfio.serve(0);
      return side->nic.vfio.dma_requests > before;
    }));
    side->nic.set_config16(4, 2);
    side->nic.vfio.hold_dma = false;
    side->nic.vfio.release_dma();
    EXPECT_EQ(side->nic.reg(PNIC_REG_MAGIC), PNIC_MAGIC);
    EXPECT_FALSE(a->send_cq.poll().has_value());
    side->nic.set_config16(4, 6);
    EXPECT_EQ(next_served().status, PNIC_CQE_SUCCESS);
  }
}

TEST_F(RemoteMemory, AResetForgetsRequestsUnderWay) {
  b->nic.vfio.hold_dma = true;
  a_qp->post(far_request(PNIC_WQE_RDMA_READ, 64, false, true));
  a_qp->ring();
  ASSERT_TRUE(eventually([&] {
    b->nic.vfio.serve(0);
    return b->nic.vfio.dma_requests > 0;
  }));
  b->nic.set_reg(PNIC_REG_CTRL, 0);
  b->nic.vfio.hold_dma = false;
  b->nic.vfio.release_dma();
  b->nic.enable(6);
  EXPECT_TRUE(b->nic.admin(PnicClient::command(PNIC_CMD_ALLOC_PD)).ok());
}

TEST_F(RemoteMemory, RingsMustBeInReach) {
  pnic_cmd c = PnicClient::command(PNIC_CMD_QUERY_DEVICE);
  c.u.out.addr = kFar;
  c.u.out.length = 64;
  EXPECT_EQ(a->nic.admin(c).status, PNIC_CMD_DMA_ERROR);
}

}  // namespace
}  // namespace peermr::test
