// SPDX-License-Identifier: BSD-2-Clause
//
// Invalidation: a fence under traffic, faults on both sides, and the self check that sees a broken
// fence.

#include <cstring>
#include <thread>

#include "fixture.hpp"

namespace peermr::test {
namespace {

using std::chrono::milliseconds;

class Fence : public TwoNics {
 protected:
  Fence() = default;
  explicit Fence(const std::vector<std::string>& options) : TwoNics(options) {}

  void SetUp() override {
    TwoNics::SetUp();
    connect({.rnr_retry = 7}, {.min_rnr_timer = 8});
  }

  /// Keeps WRITEs of 256 KiB from A to B's MR under way.
  void keep_writing() {
    while (outstanding_ < 16) {
      a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 256 << 10, 0));
      a_qp->ring();
      ++outstanding_;
    }
    while (auto cqe = a->send_cq.poll()) {
      ASSERT_EQ(cqe->status, PNIC_CQE_SUCCESS);
      --outstanding_;
      ++completed_;
    }
  }

  void finish_writing() {
    for (; outstanding_ > 0; --outstanding_) ASSERT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  }

  PnicClient::AdminResult validate_b() { return b->nic.validate(b_key, b_bus, kBytes); }

  int outstanding_ = 0;
  int completed_ = 0;
};

TEST_F(Fence, NothingIsPlacedAfterAnInvalidation) {
  for (int round = 0; round < 100; ++round) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(300);
    while (std::chrono::steady_clock::now() < end) keep_writing();
    ASSERT_TRUE(b->nic.invalidate(b_key).ok());
    // The memory belongs to somebody else now.
    std::memset(memory->at(b_bus), round, 256 << 10);
    fill_pattern(memory->span(a_bus, 4096), static_cast<uint32_t>(round));
    // On a busy machine, all that was posted may have been done before.
    keep_writing();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    for (uint64_t i = 0; i < (256 << 10); i += 64) {
      ASSERT_EQ(*memory->at(b_bus + i), static_cast<std::byte>(round)) << "round " << round;
    }
    ASSERT_TRUE(validate_b().ok());
  }
  finish_writing();
  EXPECT_GT(completed_, 100);
  EXPECT_EQ(a_qp->state(), PNIC_QPS_RTS);
  EXPECT_GT(b->nic.stat(PNIC_STAT_MR_FAULT), 0u);
  EXPECT_GT(b->nic.stat(PNIC_STAT_RNR_NAK_TX), 0u);
}

TEST_F(Fence, UnmappingAfterTheFenceIsNeverSeenByTheDevice) {
  // The order of a driver: invalidate, unmap from the IOMMU, map again, validate.
  const uint64_t far = 0x9'0000'0000;
  GuestMemory other(4 << 20);
  ASSERT_TRUE(b->nic.vfio.dma_map(far, kBytes, 0, other.fd()).ok());
  const uint32_t key = b->nic.create_mr(b->pdn, far, kIova, kBytes, kAllAccess, PNIC_MR_FAULTABLE);
  const uint32_t own_key = b_key;
  b_key = key;
  for (int round = 0; round < 50; ++round) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(300);
    while (std::chrono::steady_clock::now() < end) keep_writing();
    ASSERT_TRUE(b->nic.invalidate(key).ok());
    ASSERT_TRUE(b->nic.vfio.dma_unmap(far, kBytes).ok());
    ASSERT_TRUE(b->nic.vfio.dma_map(far, kBytes, 0, other.fd()).ok());
    ASSERT_TRUE(b->nic.validate(key, far, kBytes).ok());
  }
  finish_writing();
  b_key = own_key;
}

TEST_F(Fence, RevokingUnderTrafficEndsInARemoteAccessError) {
  keep_writing();
  ASSERT_TRUE(b->nic.invalidate(b_key, PNIC_INVALIDATE_REVOKE).ok());
  // On a busy machine, all that was posted may have been done before.
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  a_qp->ring();
  pnic_cqe cqe = a->send_cq.next();
  while (cqe.status == PNIC_CQE_SUCCESS) cqe = a->send_cq.next();
  EXPECT_EQ(cqe.status, PNIC_CQE_REM_ACCESS_ERR);
  EXPECT_EQ(a_qp->state(), PNIC_QPS_ERR);
}

TEST_F(Fence, DestroyingUnderTrafficEndsInARemoteAccessError) {
  keep_writing();
  ASSERT_TRUE(b->nic.on_object(PNIC_CMD_DESTROY_MR, b_key).ok());
  // On a busy machine, all that was posted may have been done before.
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  a_qp->ring();
  pnic_cqe cqe = a->send_cq.next();
  while (cqe.status == PNIC_CQE_SUCCESS) cqe = a->send_cq.next();
  EXPECT_EQ(cqe.status, PNIC_CQE_REM_ACCESS_ERR);
}

TEST_F(Fence, AResponderFaultIsRaisedOnceAndNakedUntilTheMrIsValid) {
  ASSERT_TRUE(b->nic.invalidate(b_key).ok());
  fill_pattern(memory->span(a_bus, 4096), 9);
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 4096, 512));
  a_qp->ring();
  const pnic_eqe event = b->events.next();
  EXPECT_EQ(event.type, PNIC_EVENT_MR_FAULT);
  EXPECT_EQ(event.object, b_key);
  EXPECT_EQ(event.addr, kIova + 512);
  EXPECT_EQ(event.length, 4096u);
  EXPECT_EQ(event.qpn, b_qp->qpn);
  EXPECT_TRUE(event.flags & PNIC_EQE_FAULT_WRITE);
  EXPECT_TRUE(a->send_cq.stays_empty(milliseconds(10)));
  EXPECT_FALSE(b->events.poll().has_value());
  EXPECT_GT(b->nic.stat(PNIC_STAT_RNR_NAK_TX), 2u);
  // The driver could not: the next retry raises the fault again.
  ASSERT_TRUE(b->nic.on_object(PNIC_CMD_FAULT_DONE, b_key).ok());
  EXPECT_EQ(b->events.next().type, PNIC_EVENT_MR_FAULT);
  ASSERT_TRUE(validate_b().ok());
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_TRUE(has_pattern(memory->span(b_bus + 512, 4096), 9));
}

TEST_F(Fence, AResponderFaultOfAReadIsNoWrite) {
  ASSERT_TRUE(b->nic.invalidate(b_key).ok());
  a_qp->post(request(PNIC_WQE_RDMA_READ, 0, 64));
  a_qp->ring();
  EXPECT_FALSE(b->events.next().flags & PNIC_EQE_FAULT_WRITE);
  ASSERT_TRUE(validate_b().ok());
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
}

TEST_F(Fence, AReceiveBufferMayFault) {
  b_qp->post_receive(3, {b_sge(0, 64)});
  b_qp->ring();
  ASSERT_TRUE(b->nic.invalidate(b_key).ok());
  a_qp->post(request(PNIC_WQE_SEND, 0, 64));
  a_qp->ring();
  EXPECT_EQ(b->events.next().object, b_key);
  ASSERT_TRUE(validate_b().ok());
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(b->recv_cq.next().wr_id, 3u);
}

TEST_F(Fence, RnrRetriesRunOutForAFaultToo) {
  a_qp->to_reset();
  b_qp->to_reset();
  connect({.rnr_retry = 1});
  ASSERT_TRUE(b->nic.invalidate(b_key).ok());
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_RNR_RETRY_EXC_ERR);
  EXPECT_EQ(b_qp->state(), PNIC_QPS_RTS);
}

TEST_F(Fence, ARequesterFaultWaitsForTheMr) {
  ASSERT_TRUE(a->nic.invalidate(a_key).ok());
  fill_pattern(memory->span(a_bus, 4096), 4);
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 4096));
  a_qp->ring();
  const pnic_eqe event = a->events.next();
  EXPECT_EQ(event.type, PNIC_EVENT_MR_FAULT);
  EXPECT_EQ(event.object, a_key);
  EXPECT_EQ(event.qpn, a_qp->qpn);
  EXPECT_FALSE(event.flags & PNIC_EQE_FAULT_WRITE);
  ASSERT_TRUE(a->nic.on_object(PNIC_CMD_FAULT_DONE, a_key).ok());
  EXPECT_EQ(a->events.next().type, PNIC_EVENT_MR_FAULT);  // asks again after a pause
  EXPECT_TRUE(a->send_cq.stays_empty(milliseconds(20)));
  // An invalidation does not complete the WR that waits, and does not wait for it.
  ASSERT_TRUE(a->nic.invalidate(a_key).ok());
  ASSERT_TRUE(a->nic.validate(a_key, a_bus, kBytes).ok());
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_TRUE(has_pattern(memory->span(b_bus, 4096), 4));
}

TEST_F(Fence, ARequesterFaultTimesOut) {
  ASSERT_TRUE(a->nic.invalidate(a_key).ok());
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  a_qp->ring();
  const pnic_cqe cqe = a->send_cq.next();
  EXPECT_EQ(cqe.status, PNIC_CQE_LOC_PROT_ERR);
  EXPECT_EQ(cqe.vendor_err, PNIC_VERR_FAULT_TIMEOUT);
  EXPECT_EQ(a->nic.stat(PNIC_STAT_MR_FAULT_TIMEOUT), 1u);
}

TEST_F(Fence, RevokingFailsTheWrThatWaits) {
  ASSERT_TRUE(a->nic.invalidate(a_key).ok());
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  a_qp->ring();
  a->events.next();
  ASSERT_TRUE(a->nic.invalidate(a_key, PNIC_INVALIDATE_REVOKE).ok());
  const pnic_cqe cqe = a->send_cq.next();
  EXPECT_EQ(cqe.status, PNIC_CQE_LOC_PROT_ERR);
  EXPECT_EQ(cqe.vendor_err, PNIC_VERR_REVOKED);
}

TEST_F(Fence, AnMrMayComeBackWithOtherPages) {
  ASSERT_TRUE(b->nic.invalidate(b_key).ok());
  const uint64_t elsewhere = memory->alloc(kBytes);
  ASSERT_TRUE(b->nic.validate(b_key, elsewhere, kBytes).ok());
  fill_pattern(memory->span(a_bus, 4096), 5);
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 4096));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_TRUE(has_pattern(memory->span(elsewhere, 4096), 5));
  EXPECT_FALSE(has_pattern(memory->span(b_bus, 4096), 5));
}

class BrokenFence : public Fence {
 protected:
  BrokenFence() : Fence({"--break-fence"}) {}
};

TEST_F(BrokenFence, TheSelfCheckSeesIt) {
  for (int round = 0; round < 20; ++round) {
    const auto end = std::chrono::steady_clock::now() + milliseconds(2);
    while (std::chrono::steady_clock::now() < end) keep_writing();
    ASSERT_TRUE(b->nic.invalidate(b_key).ok());
    std::this_thread::sleep_for(milliseconds(1));
    ASSERT_TRUE(validate_b().ok());
  }
  finish_writing();
  EXPECT_GT(b->nic.stat(PNIC_STAT_DMA_AFTER_INVALIDATE), 0u);
  check_self_tests = false;
}

}  // namespace
}  // namespace peermr::test
