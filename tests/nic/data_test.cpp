// SPDX-License-Identifier: BSD-2-Clause
//
// The RC data path between two NICs, with the data checked.

#include <cstring>

#include "fixture.hpp"

namespace peermr::test {
namespace {

class Data : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    connect();
    fill_pattern(memory->span(a_bus, kBytes), 1);
    fill_pattern(memory->span(b_bus, kBytes), 2);
  }

  bool b_holds(uint64_t offset, uint64_t a_offset, uint64_t length) const {
    return std::memcmp(memory->at(b_bus + offset), memory->at(a_bus + a_offset), length) == 0;
  }
};

TEST_F(Data, WritePlacesTheBytesAndNothingElse) {
  for (const uint32_t length : {1u, 7u, 64u, 4096u, 4097u, 65536u, 1000003u}) {
    fill_pattern(memory->span(b_bus, kBytes), 2);
    std::vector<std::byte> before(memory->at(b_bus), memory->at(b_bus) + kBytes);
    a_qp->post(request(PNIC_WQE_RDMA_WRITE, 123, length, 4567));
    a_qp->ring();
    const pnic_cqe cqe = a->send_cq.next();
    EXPECT_EQ(cqe.status, PNIC_CQE_SUCCESS);
    EXPECT_EQ(cqe.opcode, PNIC_CQE_RDMA_WRITE);
    EXPECT_EQ(cqe.wr_id, 0x1000u + 123);
    EXPECT_EQ(cqe.qpn, a_qp->qpn);
    EXPECT_TRUE(b_holds(4567, 123, length)) << length;
    EXPECT_EQ(std::memcmp(memory->at(b_bus), before.data(), 4567), 0);
    const size_t end = 4567 + length;
    EXPECT_EQ(std::memcmp(memory->at(b_bus) + end, before.data() + end, kBytes - end), 0);
  }
}

TEST_F(Data, ReadFetchesTheBytes) {
  for (const uint32_t length : {1u, 4096u, 65536u, 1000003u}) {
    a_qp->post(request(PNIC_WQE_RDMA_READ, 77, length, 991));
    a_qp->ring();
    const pnic_cqe cqe = a->send_cq.next();
    EXPECT_EQ(cqe.status, PNIC_CQE_SUCCESS);
    EXPECT_EQ(cqe.opcode, PNIC_CQE_RDMA_READ);
    EXPECT_EQ(cqe.byte_len, length);
    EXPECT_TRUE(b_holds(991, 77, length)) << length;
  }
}

TEST_F(Data, SendFillsTheReceivesInOrder) {
  b_qp->post_receive(501, {b_sge(0, 1000), b_sge(2000, 1000)});
  b_qp->post_receive(502, {b_sge(8000, 5000)});
  b_qp->ring();
  a_qp->post(request(PNIC_WQE_SEND, 0, 1500));
  a_qp->post(request(PNIC_WQE_SEND, 3000, 5000));
  a_qp->ring();
  pnic_cqe received = b->recv_cq.next();
  EXPECT_EQ(received.status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(received.opcode, PNIC_CQE_RECV);
  EXPECT_EQ(received.wr_id, 501u);
  EXPECT_EQ(received.byte_len, 1500u);
  EXPECT_EQ(received.src_qp, a_qp->qpn);
  EXPECT_EQ(received.wqe_index, 0u);
  received = b->recv_cq.next();
  EXPECT_EQ(received.wr_id, 502u);
  EXPECT_EQ(received.byte_len, 5000u);
  EXPECT_EQ(received.wqe_index, 1u);
  EXPECT_TRUE(b_holds(0, 0, 1000));
  EXPECT_TRUE(b_holds(2000, 1000, 500));
  EXPECT_TRUE(b_holds(8000, 3000, 5000));
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
}

TEST_F(Data, ImmediateArrivesUnswapped) {
  b_qp->post_receive(1, {b_sge(0, 64)});
  b_qp->post_receive(2, {});
  b_qp->ring();
  auto send = request(PNIC_WQE_SEND_WITH_IMM, 0, 64);
  send.imm = 0x11223344;
  a_qp->post(send);
  auto write = request(PNIC_WQE_RDMA_WRITE_WITH_IMM, 0, 300000, 4096);
  write.imm = 0x55667788;
  a_qp->post(write);
  a_qp->ring();
  pnic_cqe cqe = b->recv_cq.next();
  EXPECT_EQ(cqe.imm, 0x11223344u);
  EXPECT_TRUE(cqe.flags & PNIC_CQE_FLAG_IMM);
  cqe = b->recv_cq.next();
  EXPECT_EQ(cqe.opcode, PNIC_CQE_RECV_RDMA_WITH_IMM);
  EXPECT_EQ(cqe.imm, 0x55667788u);
  EXPECT_EQ(cqe.byte_len, 300000u);
  EXPECT_TRUE(b_holds(4096, 0, 300000));
}

TEST_F(Data, ZeroLengthMessagesNeedNoKeys) {
  b_qp->post_receive(1, {});
  b_qp->ring();
  QueuePairClient::Send send;
  send.opcode = PNIC_WQE_SEND;
  a_qp->post(send);
  send.opcode = PNIC_WQE_RDMA_WRITE;
  send.rkey = 0xdead;
  a_qp->post(send);
  send.opcode = PNIC_WQE_RDMA_READ;
  send.sges = {{0, 0, 0xbeef}};
  a_qp->post(send);
  a_qp->ring();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS) << i;
  EXPECT_EQ(b->recv_cq.next().byte_len, 0u);
}

TEST_F(Data, InlineDataIsTakenFromTheWqe) {
  QueuePairClient::Send send;
  send.opcode = PNIC_WQE_RDMA_WRITE;
  send.flags = PNIC_WQE_SIGNALED | PNIC_WQE_INLINE;
  send.remote_addr = kIova + 5;
  send.rkey = b_key;
  send.inline_data.assign(memory->at(a_bus), memory->at(a_bus) + 480);
  a_qp->post(send);
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_TRUE(b_holds(5, 0, 480));
}

TEST_F(Data, ThirtySgesAreGatheredInOrder) {
  QueuePairClient::Send send;
  send.opcode = PNIC_WQE_RDMA_WRITE;
  send.remote_addr = kIova;
  send.rkey = b_key;
  uint64_t total = 0;
  for (uint32_t i = 0; i < PNIC_MAX_SGE; ++i) {
    send.sges.push_back(a_sge(i * 10007, i * 500));
    total += i * 500;
  }
  a_qp->post(send);
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().byte_len, total);
  uint64_t at = 0;
  for (uint32_t i = 0; i < PNIC_MAX_SGE; ++i) {
    EXPECT_TRUE(b_holds(at, i * 10007, i * 500)) << i;
    at += i * 500;
  }
}

TEST_F(Data, UnsignaledWritesCompleteSilently) {
  auto write = request(PNIC_WQE_RDMA_WRITE, 0, 100);
  for (int i = 0; i < 9; ++i) {
    write.flags = i == 8 ? PNIC_WQE_SIGNALED : 0;
    write.wr_id = static_cast<uint64_t>(i);
    a_qp->post(write);
  }
  a_qp->ring();
  const pnic_cqe cqe = a->send_cq.next();
  EXPECT_EQ(cqe.wr_id, 8u);
  EXPECT_EQ(cqe.wqe_index, 8u);
  EXPECT_TRUE(a->send_cq.stays_empty(std::chrono::milliseconds(5)));
}

TEST_F(Data, ScatteredPagesAreFollowed) {
  // Every other page, in descending order.
  std::vector<uint64_t> pages;
  constexpr uint64_t kPages = 300;
  for (uint64_t i = 0; i < kPages; ++i) pages.push_back(b_bus + (2 * (kPages - i) - 2) * 4096);
  pnic_cmd c = PnicClient::command(PNIC_CMD_CREATE_MR);
  c.u.create_mr.pdn = b->pdn;
  c.u.create_mr.access = kAllAccess;
  c.u.create_mr.iova = 0x5000;
  c.u.create_mr.length = kPages * 4096 - 100;
  c.u.create_mr.pages = b->nic.list(pages, 100);
  const auto key = static_cast<uint32_t>(b->nic.must(c));
  auto write = request(PNIC_WQE_RDMA_WRITE, 0, kPages * 4096 - 100);
  write.remote_addr = 0x5000;
  write.rkey = key;
  a_qp->post(write);
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  for (uint64_t i = 0; i < kPages; ++i) {
    const uint64_t skip = i == 0 ? 100 : 0;
    const std::byte* there = memory->at(pages[i] + skip);
    const std::byte* here = memory->at(a_bus + i * 4096 + skip - 100);
    EXPECT_EQ(std::memcmp(there, here, 4096 - skip), 0) << i;
  }
}

TEST_F(Data, RingsWrapAround) {
  auto write = request(PNIC_WQE_RDMA_WRITE, 0, 64);
  for (uint32_t i = 0; i < 1000; ++i) {
    write.wr_id = i;
    a_qp->post(write);
    a_qp->ring();
    const pnic_cqe cqe = a->send_cq.next();
    ASSERT_EQ(cqe.status, PNIC_CQE_SUCCESS);
    ASSERT_EQ(cqe.wr_id, i);
    ASSERT_EQ(cqe.wqe_index, i);
  }
}

TEST_F(Data, ANicReachesItself) {
  QueuePairClient other(a->nic, a->pdn, a->send_cq, a->recv_cq);
  a_qp->to_reset();
  QueuePairClient::Connection to;
  to.lid = 1;
  to.qpn = other.qpn;
  a_qp->connect(to);
  to.qpn = a_qp->qpn;
  other.connect(to);
  auto write = request(PNIC_WQE_RDMA_WRITE, 0, 10000, 50000);
  write.rkey = a_key;
  a_qp->post(write);
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(std::memcmp(memory->at(a_bus), memory->at(a_bus + 50000), 10000), 0);
}

TEST_F(Data, AQueuePairMayBeItsOwnPeer) {
  a_qp->to_reset();
  a_qp->connect({.lid = 1, .qpn = a_qp->qpn});
  a_qp->post_receive(5, {a_sge(20000, 4096)});
  a_qp->post(request(PNIC_WQE_SEND, 0, 4096));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
  EXPECT_EQ(a->recv_cq.next().wr_id, 5u);
  EXPECT_EQ(std::memcmp(memory->at(a_bus), memory->at(a_bus + 20000), 4096), 0);
  // It fails as responder while it waits for its own answer as requester.
  auto write = request(PNIC_WQE_RDMA_WRITE, 0, 64);
  write.rkey = 0;
  a_qp->post(write);
  a_qp->post(request(PNIC_WQE_SEND, 0, 64));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_REM_ACCESS_ERR);
  const pnic_cqe flushed = a->send_cq.next();
  EXPECT_EQ(flushed.status, PNIC_CQE_WR_FLUSH_ERR);
  EXPECT_EQ(flushed.wqe_index, 2u);
}

TEST_F(Data, APeerIsFoundByItsGid) {
  for (QueuePairClient* qp : {a_qp.get(), b_qp.get()}) {
    const bool is_a = qp == a_qp.get();
    PnicClient& peer = is_a ? b->nic : a->nic;
    const uint64_t buffer = memory->alloc(sizeof(pnic_device_attr));
    pnic_cmd c = PnicClient::command(PNIC_CMD_QUERY_DEVICE);
    c.u.out.addr = buffer;
    c.u.out.length = sizeof(pnic_device_attr);
    peer.must(c);
    qp->to_reset();
    QueuePairClient::Connection to;
    to.qpn = is_a ? b_qp->qpn : a_qp->qpn;
    ASSERT_TRUE(
        qp->modify(QueuePairClient::kInitMask, QueuePairClient::attributes(to, PNIC_QPS_INIT))
            .ok());
    pnic_qp_attr attr = QueuePairClient::attributes(to, PNIC_QPS_RTR);
    attr.av.flags = PNIC_AV_GRH;
    std::memcpy(attr.av.dgid, memory->as<pnic_device_attr>(buffer)->gid, 16);
    ASSERT_TRUE(qp->modify(QueuePairClient::kRtrMask, attr).ok());
    ASSERT_TRUE(
        qp->modify(QueuePairClient::kRtsMask, QueuePairClient::attributes(to, PNIC_QPS_RTS)).ok());
  }
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 100));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
}

}  // namespace
}  // namespace peermr::test
