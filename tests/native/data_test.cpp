// SPDX-License-Identifier: BSD-2-Clause
// Every operation moves the bytes it should, and no others.
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "support.hpp"

namespace peermr::test {
namespace {

constexpr uint32_t kImm = 0x12345678;

using Data = Connected;

class DataOfSize : public Connected, public ::testing::WithParamInterface<size_t> {};

TEST_P(DataOfSize, SendArrives) {
  Buffer from(left->pd.get(), GetParam() + 1, 1);
  Buffer to(right->pd.get(), GetParam() + 1, 2);
  const uint8_t guard = to.data.back();
  ASSERT_EQ(right->post_recv({to.sge(0, GetParam())}, 7), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {from.sge(0, GetParam())}, 8), 0);
  const ibv_wc sent = left->expect_success();
  EXPECT_EQ(sent.wr_id, 8u);
  EXPECT_EQ(sent.opcode, IBV_WC_SEND);
  EXPECT_EQ(sent.qp_num, left->qp->qp_num);
  const ibv_wc received = right->expect_success();
  EXPECT_EQ(received.wr_id, 7u);
  EXPECT_EQ(received.opcode, IBV_WC_RECV);
  EXPECT_EQ(received.byte_len, GetParam());
  EXPECT_EQ(received.wc_flags & IBV_WC_WITH_IMM, 0u);
  EXPECT_EQ(std::memcmp(from.data.data(), to.data.data(), GetParam()), 0);
  EXPECT_EQ(to.data.back(), guard);
}

TEST_P(DataOfSize, WriteArrives) {
  Buffer from(left->pd.get(), GetParam() + 1, 3);
  Buffer to(right->pd.get(), GetParam() + 1, 4);
  const uint8_t guard = to.data.back();
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge(0, GetParam())}, 9, to.address(),
                            to.mr->rkey),
            0);
  const ibv_wc wc = left->expect_success();
  EXPECT_EQ(wc.opcode, IBV_WC_RDMA_WRITE);
  EXPECT_EQ(wc.wr_id, 9u);
  EXPECT_EQ(std::memcmp(from.data.data(), to.data.data(), GetParam()), 0);
  EXPECT_EQ(to.data.back(), guard);
}

TEST_P(DataOfSize, ReadFetches) {
  Buffer to(left->pd.get(), GetParam() + 1, 5);
  Buffer from(right->pd.get(), GetParam() + 1, 6);
  const uint8_t guard = to.data.back();
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_READ, {to.sge(0, GetParam())}, 10, from.address(),
                            from.mr->rkey),
            0);
  const ibv_wc wc = left->expect_success();
  EXPECT_EQ(wc.opcode, IBV_WC_RDMA_READ);
  EXPECT_EQ(std::memcmp(from.data.data(), to.data.data(), GetParam()), 0);
  EXPECT_EQ(to.data.back(), guard);
}

INSTANTIATE_TEST_SUITE_P(Sizes, DataOfSize,
                         ::testing::Values(0, 1, 63, 4096, 4097, 65536, 1 << 20, (3 << 20) + 5));

TEST_F(Data, SendWithImmediateCarriesIt) {
  ASSERT_EQ(right->post_recv({}), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND_WITH_IMM, {}, 0, 0, 0, IBV_SEND_SIGNALED, kImm), 0);
  left->expect_success();
  const ibv_wc wc = right->expect_success();
  EXPECT_EQ(wc.opcode, IBV_WC_RECV);
  ASSERT_NE(wc.wc_flags & IBV_WC_WITH_IMM, 0u);
  EXPECT_EQ(be32toh(wc.imm_data), kImm);
}

TEST_F(Data, WriteWithImmediateTakesAReceiveAndLeavesItsMemoryAlone) {
  Buffer from(left->pd.get(), 1000, 1);
  Buffer to(right->pd.get(), 1000, 2);
  Buffer unused(right->pd.get(), 1000, 3);
  const std::vector<uint8_t> before = unused.data;
  ASSERT_EQ(right->post_recv({unused.sge()}, 5), 0);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE_WITH_IMM, {from.sge()}, 0, to.address(),
                            to.mr->rkey, IBV_SEND_SIGNALED, kImm),
            0);
  EXPECT_EQ(left->expect_success().opcode, IBV_WC_RDMA_WRITE);
  const ibv_wc wc = right->expect_success();
  EXPECT_EQ(wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
  EXPECT_EQ(wc.byte_len, 1000u);
  EXPECT_EQ(wc.wr_id, 5u);
  EXPECT_EQ(be32toh(wc.imm_data), kImm);
  EXPECT_EQ(from.data, to.data);
  EXPECT_EQ(unused.data, before);
}

TEST_F(Data, ScatterAndGatherKeepTheOrder) {
  Buffer from(left->pd.get(), 8192, 1);
  Buffer to(right->pd.get(), 8192, 2);
  ASSERT_EQ(right->post_recv({to.sge(5000, 10), to.sge(0, 2000), to.sge(7000, 190)}), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND,
                            {from.sge(100, 1000), from.sge(0, 0), from.sge(4000, 1200)}),
            0);
  left->expect_success();
  EXPECT_EQ(right->expect_success().byte_len, 2200u);
  std::vector<uint8_t> sent(from.data.begin() + 100, from.data.begin() + 1100);
  sent.insert(sent.end(), from.data.begin() + 4000, from.data.begin() + 5200);
  std::vector<uint8_t> got(to.data.begin() + 5000, to.data.begin() + 5010);
  got.insert(got.end(), to.data.begin(), to.data.begin() + 2000);
  got.insert(got.end(), to.data.begin() + 7000, to.data.begin() + 7190);
  EXPECT_EQ(sent, got);
}

TEST_F(Data, InlineDataIsTakenWhenPosted) {
  Buffer to(right->pd.get(), 64, 2);
  uint8_t value[64];
  std::memset(value, 0x5a, sizeof(value));
  // No key: inline data is read by the processor.
  const ibv_sge sge{reinterpret_cast<uintptr_t>(value), sizeof(value), 0};
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {sge}, 0, to.address(), to.mr->rkey,
                            IBV_SEND_SIGNALED | IBV_SEND_INLINE),
            0);
  std::memset(value, 0, sizeof(value));
  left->expect_success();
  EXPECT_EQ(to.data, std::vector<uint8_t>(64, 0x5a));
}

TEST_F(Data, ANicIsItsOwnPeer) {
  Endpoint one(a.get());
  Endpoint two(a.get());
  one.connect(two);
  two.connect(one);
  Buffer from(one.pd.get(), 5000, 1);
  Buffer to(two.pd.get(), 5000, 2);
  ASSERT_EQ(one.post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), to.mr->rkey), 0);
  one.expect_success();
  EXPECT_EQ(from.data, to.data);
}

TEST_F(Data, ManyMessagesArriveInOrder) {
  constexpr int kCount = 1000;
  constexpr int kWindow = 32;
  Buffer from(left->pd.get(), kWindow * 8);
  Buffer to(right->pd.get(), kWindow * 8);
  for (int i = 0; i < kWindow; ++i)
    ASSERT_EQ(right->post_recv({to.sge(static_cast<size_t>(i) * 8, 8)}, static_cast<uint64_t>(i)),
              0);
  int sent = 0;
  for (int received = 0; received < kCount; ++received) {
    for (; sent < kCount && sent < received + kWindow; ++sent) {
      const auto slot = static_cast<size_t>(sent % kWindow) * 8;
      const uint64_t value = static_cast<uint64_t>(sent) * 0x100000001;
      // Unsignaled but for each eighth.
      std::memcpy(&from.data[slot], &value, 8);
      ASSERT_EQ(left->post_send(IBV_WR_SEND, {from.sge(slot, 8)}, value, 0, 0,
                                sent % 8 == 7 ? IBV_SEND_SIGNALED : 0),
                0);
      if (sent % 8 == 7) {
        EXPECT_EQ(left->expect_success().wr_id, value);
      }
    }
    const ibv_wc wc = right->expect_success();
    const auto slot = static_cast<size_t>(received % kWindow) * 8;
    ASSERT_EQ(wc.wr_id, static_cast<uint64_t>(received % kWindow));
    uint64_t value = 0;
    std::memcpy(&value, &to.data[slot], 8);
    ASSERT_EQ(value, static_cast<uint64_t>(received) * 0x100000001);
    ASSERT_EQ(right->post_recv({to.sge(slot, 8)}, wc.wr_id), 0);
  }
}

TEST_F(Data, BuffersOnTheStackCanBeRegistered) {
  uint8_t from[300];
  uint8_t to[300] = {};
  std::memset(from, 0x77, sizeof(from));
  const MrPtr from_mr(ibv_reg_mr(left->pd.get(), from, sizeof(from), 0));
  const MrPtr to_mr(ibv_reg_mr(right->pd.get(), to, sizeof(to), kAllAccess));
  ASSERT_NE(from_mr, nullptr);
  ASSERT_NE(to_mr, nullptr);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE,
                            {{reinterpret_cast<uintptr_t>(from), sizeof(from), from_mr->lkey}}, 0,
                            reinterpret_cast<uintptr_t>(to), to_mr->rkey),
            0);
  left->expect_success();
  EXPECT_EQ(std::memcmp(from, to, sizeof(to)), 0);
}

TEST_F(Data, MemoryRegisteredOnBothNicsIsTheSame) {
  Buffer from(left->pd.get(), 4096, 1);
  Buffer shared(right->pd.get(), 4096, 2);
  const MrPtr again(ibv_reg_mr(left->pd.get(), shared.data.data(), 4096, kAllAccess));
  ASSERT_NE(again, nullptr);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, shared.address(),
                            shared.mr->rkey),
            0);
  left->expect_success();
  Buffer back(left->pd.get(), 4096, 3);
  ASSERT_EQ(right->post_recv({shared.sge()}), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {{shared.address(), 4096, again->lkey}}), 0);
  left->expect_success();
  right->expect_success();
  EXPECT_EQ(from.data, shared.data);
}

TEST_F(Data, MemoryThatWasFreedAndComesBackIsRegisteredAnew) {
  for (int i = 0; i < 20; ++i) {
    Buffer from(left->pd.get(), 1 << 20, static_cast<uint8_t>(i));
    Buffer to(right->pd.get(), 1 << 20, static_cast<uint8_t>(i + 1));
    ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {from.sge()}, 0, to.address(), to.mr->rkey), 0);
    left->expect_success();
    ASSERT_EQ(from.data, to.data) << i;
  }
}

TEST_F(Data, AReadOnlyMappingCanBeSent) {
  void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_EQ(ibv_reg_mr(left->pd.get(), page, 4096, IBV_ACCESS_LOCAL_WRITE), nullptr);
  EXPECT_EQ(errno, EFAULT);
  MrPtr mr(ibv_reg_mr(left->pd.get(), page, 4096, 0));
  ASSERT_NE(mr, nullptr);
  Buffer to(right->pd.get(), 4096, 1);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE,
                            {{reinterpret_cast<uintptr_t>(page), 4096, mr->lkey}}, 0, to.address(),
                            to.mr->rkey),
            0);
  left->expect_success();
  EXPECT_EQ(to.data, std::vector<uint8_t>(4096, 0));
  mr.reset();
  ::munmap(page, 4096);
}

}  // namespace
}  // namespace peermr::test
