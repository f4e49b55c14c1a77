// SPDX-License-Identifier: BSD-2-Clause
//
// What the driver checks and reports, through libibverbs. Runs in a guest, with the variables of
// /etc/lab.env.

#include <gtest/gtest.h>
#include <infiniband/verbs.h>
#include <poll.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "pnic/verbs.hpp"

namespace {

using namespace pnic_test;

constexpr std::size_t kPage = 4096;
constexpr int kRemote = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

class Verbs : public testing::Test {
 protected:
  Context context_ = std::move(open_device(std::getenv("LAB_NIC0")).value());

  /// The next asynchronous event's type within 2 s, or -1.
  int next_event() {
    pollfd ready = {.fd = context_->async_fd, .events = POLLIN, .revents = 0};
    ibv_async_event event{};
    if (::poll(&ready, 1, 2000) != 1 || ibv_get_async_event(context_.get(), &event) != 0) {
      return -1;
    }
    ibv_ack_async_event(&event);
    return event.event_type;
  }

  static Mr register_host(Loopback& loopback, std::vector<char>& memory) {
    return Mr(ibv_reg_mr(loopback.pd.get(), memory.data(), memory.size(), kRemote));
  }

  static ibv_sge whole(std::vector<char>& memory, const Mr& mr) {
    return {.addr = reinterpret_cast<std::uint64_t>(memory.data()),
            .length = static_cast<std::uint32_t>(memory.size()),
            .lkey = mr->lkey};
  }
};

TEST_F(Verbs, DeviceAttributesAreThoseOfTheSpecification) {
  ibv_device_attr attr{};
  ASSERT_EQ(ibv_query_device(context_.get(), &attr), 0);
  EXPECT_EQ(attr.max_sge, 30);
  EXPECT_EQ(attr.max_qp_wr, 1 << 15);
  EXPECT_EQ(attr.max_cqe, 1 << 18);
  EXPECT_EQ(attr.phys_port_cnt, 1);
  EXPECT_EQ(attr.atomic_cap, IBV_ATOMIC_NONE);
  EXPECT_EQ(attr.page_size_cap & 0xfff, 0U);
  EXPECT_NE(attr.page_size_cap & kPage, 0U);
  ibv_gid gid{};
  ASSERT_EQ(ibv_query_gid(context_.get(), 1, 0, &gid), 0);
  EXPECT_EQ(gid.global.interface_id, attr.node_guid);
  __be16 pkey = 0;
  ASSERT_EQ(ibv_query_pkey(context_.get(), 1, 0, &pkey), 0);
  EXPECT_EQ(pkey, 0xffff);
}

TEST_F(Verbs, MemoryOfOddSizeAndPlaceIsReachedByteByByte) {
  Loopback loopback = Loopback::create(context_.get());
  std::vector<char> memory(5 << 20);
  const Mr mr = register_host(loopback, memory);
  ASSERT_NE(mr, nullptr);
  for (std::size_t i = 0; i < memory.size() / 2; i++) {
    memory[i] = static_cast<char>(i * 7 + i / 4096);
  }
  const std::size_t from = 4093;
  const std::size_t length = (2 << 20) + 11;
  const std::size_t to = (3 << 20) - 77;
  ibv_sge sge = whole(memory, mr);
  const std::uint64_t base = sge.addr;
  sge.addr += from;
  sge.length = length;
  ASSERT_EQ(rdma(loopback, IBV_WR_RDMA_WRITE, sge, base + to, mr->rkey), IBV_WC_SUCCESS);
  EXPECT_EQ(std::memcmp(memory.data() + from, memory.data() + to, length), 0);
}

TEST_F(Verbs, AKeyOfADeregisteredMrIsUnknown) {
  Loopback loopback = Loopback::create(context_.get());
  std::vector<char> memory(kPage);
  Mr mr = register_host(loopback, memory);
  const Mr other = register_host(loopback, memory);
  const std::uint32_t old = mr->rkey;
  mr.reset();
  const Mr newer = register_host(loopback, memory);
  EXPECT_NE(newer->rkey, old);
  const ibv_sge sge = whole(memory, other);
  EXPECT_EQ(rdma(loopback, IBV_WR_RDMA_WRITE, sge, sge.addr, old), IBV_WC_REM_ACCESS_ERR);
}

TEST_F(Verbs, AnAccessErrorIsReportedToTheResponder) {
  Loopback loopback = Loopback::create(context_.get());
  std::vector<char> memory(kPage);
  const Mr mr = register_host(loopback, memory);
  const ibv_sge sge = whole(memory, mr);
  EXPECT_EQ(rdma(loopback, IBV_WR_RDMA_WRITE, sge, sge.addr + 1, mr->rkey), IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(next_event(), IBV_EVENT_QP_ACCESS_ERR);
  ibv_qp_attr attr{};
  ibv_qp_init_attr init{};
  ASSERT_EQ(ibv_query_qp(loopback.qp.get(), &attr, IBV_QP_STATE, &init), 0);
  EXPECT_EQ(attr.qp_state, IBV_QPS_ERR);
}

TEST_F(Verbs, AFullCqIsReported) {
  Loopback loopback = Loopback::create(context_.get(), 14, 4);
  std::vector<char> memory(kPage);
  const Mr mr = register_host(loopback, memory);
  const ibv_sge sge = whole(memory, mr);
  for (int i = 0; i < 16; i++) {
    ASSERT_EQ(post_rdma(loopback, IBV_WR_RDMA_WRITE, sge, sge.addr, mr->rkey), 0);
  }
  EXPECT_EQ(next_event(), IBV_EVENT_CQ_ERR);
}

TEST_F(Verbs, EachCompletionVectorDeliversEvents) {
  const Loopback loopback = Loopback::create(context_.get());
  ASSERT_GE(context_->num_comp_vectors, 1);
  for (int vector = 0; vector < context_->num_comp_vectors; vector++) {
    const Cq cq(ibv_create_cq(context_.get(), 1, nullptr, loopback.channel.get(), vector));
    ASSERT_NE(cq, nullptr);
    ASSERT_EQ(ibv_req_notify_cq(cq.get(), 0), 0);
    ibv_qp_init_attr init{};
    init.send_cq = init.recv_cq = cq.get();
    init.cap = {.max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1,
                .max_inline_data = 0};
    init.qp_type = IBV_QPT_RC;
    const Qp qp(ibv_create_qp(loopback.pd.get(), &init));
    ASSERT_NE(qp, nullptr);
    // A receive of a QP in error is flushed, which is a completion.
    ibv_qp_attr attr{};
    attr.qp_state = IBV_QPS_INIT;
    attr.port_num = 1;
    ASSERT_EQ(ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
                                                 IBV_QP_ACCESS_FLAGS), 0);
    ibv_recv_wr wr{};
    ibv_recv_wr* bad = nullptr;
    ASSERT_EQ(ibv_post_recv(qp.get(), &wr, &bad), 0);
    attr.qp_state = IBV_QPS_ERR;
    ASSERT_EQ(ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE), 0);
    pollfd ready = {.fd = loopback.channel->fd, .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&ready, 1, 2000), 1) << "vector " << vector;
    ibv_cq* got = nullptr;
    void* ignored = nullptr;
    ASSERT_EQ(ibv_get_cq_event(loopback.channel.get(), &got, &ignored), 0);
    EXPECT_EQ(got, cq.get());
    ibv_ack_cq_events(got, 1);
  }
}

TEST_F(Verbs, QueryQpSaysWhatModifyQpSaid) {
  const Loopback loopback = Loopback::create(context_.get(), 17);
  ibv_qp_attr attr{};
  ibv_qp_init_attr init{};
  ASSERT_EQ(ibv_query_qp(loopback.qp.get(), &attr, IBV_QP_STATE, &init), 0);
  EXPECT_EQ(attr.qp_state, IBV_QPS_RTS);
  EXPECT_EQ(attr.timeout, 17);
  EXPECT_EQ(attr.retry_cnt, 7);
  EXPECT_EQ(attr.rnr_retry, 7);
  EXPECT_EQ(attr.min_rnr_timer, 10);
  EXPECT_EQ(attr.dest_qp_num, loopback.qp->qp_num);
  EXPECT_EQ(attr.path_mtu, IBV_MTU_4096);
  EXPECT_EQ(attr.port_num, 1);
  EXPECT_EQ(attr.qp_access_flags, static_cast<unsigned>(IBV_ACCESS_REMOTE_WRITE |
                                                        IBV_ACCESS_REMOTE_READ));
  EXPECT_GE(init.cap.max_send_wr, 16U);
  EXPECT_EQ(init.sq_sig_all, 1);
}

TEST_F(Verbs, ImpossibleTransitionsAreRefused) {
  const Loopback loopback = Loopback::create(context_.get());
  ibv_qp_init_attr init{};
  init.send_cq = init.recv_cq = loopback.cq.get();
  init.cap.max_send_wr = init.cap.max_recv_wr = 1;
  init.qp_type = IBV_QPT_RC;
  const Qp qp(ibv_create_qp(loopback.pd.get(), &init));
  ASSERT_NE(qp, nullptr);
  const int to_init = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
  ibv_qp_attr attr{};
  attr.qp_state = IBV_QPS_RTS;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE), EINVAL);
  attr.qp_state = IBV_QPS_INIT;
  attr.port_num = 2;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, to_init), EINVAL);
  attr.port_num = 1;
  attr.pkey_index = 1;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, to_init), EINVAL);
  attr.pkey_index = 0;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE), EINVAL);
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, to_init | IBV_QP_RETRY_CNT), EINVAL);
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, to_init), 0);
  attr.qp_state = IBV_QPS_SQD;
  EXPECT_NE(ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE), 0);
  attr.qp_state = IBV_QPS_ERR;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE), 0);
  attr.qp_state = IBV_QPS_RESET;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &attr, IBV_QP_STATE), 0);
}

TEST_F(Verbs, WhatTheDeviceCannotDoIsRefused) {
  const Loopback loopback = Loopback::create(context_.get());
  EXPECT_EQ(Cq(ibv_create_cq(context_.get(), 1 << 19, nullptr, nullptr, 0)), nullptr);
  EXPECT_EQ(Cq(ibv_create_cq(context_.get(), 1, nullptr, nullptr, context_->num_comp_vectors)),
            nullptr);
  ibv_qp_init_attr init{};
  init.send_cq = init.recv_cq = loopback.cq.get();
  init.qp_type = IBV_QPT_UD;
  init.cap = {.max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1,
              .max_inline_data = 0};
  EXPECT_EQ(Qp(ibv_create_qp(loopback.pd.get(), &init)), nullptr);
  init.qp_type = IBV_QPT_RC;
  init.cap.max_send_wr = (1 << 15) + 1;
  EXPECT_EQ(Qp(ibv_create_qp(loopback.pd.get(), &init)), nullptr);
  init.cap.max_send_wr = 1;
  init.cap.max_send_sge = 31;
  EXPECT_EQ(Qp(ibv_create_qp(loopback.pd.get(), &init)), nullptr);
  std::vector<char> memory(kPage);
  for (const int access : {IBV_ACCESS_ON_DEMAND, IBV_ACCESS_MW_BIND, IBV_ACCESS_ZERO_BASED}) {
    EXPECT_EQ(Mr(ibv_reg_mr(loopback.pd.get(), memory.data(), memory.size(), access)), nullptr);
  }
  EXPECT_EQ(Mr(ibv_reg_mr(loopback.pd.get(), nullptr, kPage, IBV_ACCESS_LOCAL_WRITE)), nullptr);
}

TEST_F(Verbs, ObjectsInUseAreNotDestroyed) {
  Loopback loopback = Loopback::create(context_.get());
  std::vector<char> memory(kPage);
  const Mr mr = register_host(loopback, memory);
  EXPECT_EQ(ibv_dealloc_pd(loopback.pd.get()), EBUSY);
  EXPECT_EQ(ibv_destroy_cq(loopback.cq.get()), EBUSY);
  const ibv_sge sge = whole(memory, mr);
  EXPECT_EQ(rdma(loopback, IBV_WR_RDMA_WRITE, sge, sge.addr, mr->rkey), IBV_WC_SUCCESS);
}

/// The pages that user space may map: the status page comes first, then the kick page.
TEST_F(Verbs, OnlyItsOwnPagesCanBeMappedAndTheStatusPageOnlyRead) {
  const auto map = [&](std::size_t length, int prot, int flags, off_t offset) {
    void* address = ::mmap(nullptr, length, prot, flags, context_->cmd_fd, offset);
    const int error = address == MAP_FAILED ? errno : 0;
    if (error == 0) {
      if ((prot & PROT_WRITE) == 0) {
        EXPECT_EQ(::mprotect(address, length, PROT_READ | PROT_WRITE), -1);
      }
      ::munmap(address, length);
    }
    return error;
  };
  EXPECT_EQ(map(kPage, PROT_READ, MAP_SHARED, 0), 0);
  EXPECT_EQ(map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, 0), EPERM);
  EXPECT_EQ(map(kPage, PROT_READ | PROT_EXEC, MAP_SHARED, 0), EPERM);
  EXPECT_EQ(map(kPage, PROT_READ, MAP_PRIVATE, 0), EINVAL);
  EXPECT_EQ(map(2 * kPage, PROT_READ, MAP_SHARED, 0), EINVAL);
  EXPECT_EQ(map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, kPage), 0);
  EXPECT_EQ(map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, 1000 * kPage), EINVAL);
  EXPECT_EQ(map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, off_t{1} << 50), EINVAL);
}

TEST_F(Verbs, TheStatusPageReadsAsZeroesOnceItsContextIsGone) {
  void* address = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, context_->cmd_fd, 0);
  ASSERT_NE(address, MAP_FAILED);
  const auto* words = static_cast<const volatile std::uint32_t*>(address);
  EXPECT_LE(words[0], 1U);
  context_.reset();
  for (std::size_t i = 0; i < kPage / sizeof(*words); ++i) ASSERT_EQ(words[i], 0U) << i;
  EXPECT_EQ(::mprotect(address, kPage, PROT_READ | PROT_WRITE), -1);
  ::munmap(address, kPage);
}

}  // namespace
