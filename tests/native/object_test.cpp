// SPDX-License-Identifier: BSD-2-Clause
// Devices, ports and objects: what is reported, what can be made, what is refused and how.
#include <peermr/pnic_hw.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "support.hpp"

namespace peermr::test {
namespace {

using Objects = TwoNics;

TEST_F(Objects, TheDeviceSaysWhatItIs) {
  ibv_device_attr attr{};
  ASSERT_EQ(ibv_query_device(a.get(), &attr), 0);
  EXPECT_EQ(attr.vendor_id, static_cast<uint32_t>(PNIC_PCI_VENDOR_ID));
  EXPECT_EQ(attr.vendor_part_id, static_cast<uint32_t>(PNIC_PCI_DEVICE_ID));
  EXPECT_EQ(attr.phys_port_cnt, 1);
  EXPECT_EQ(attr.max_srq, 0);
  EXPECT_NE(std::strchr(attr.fw_ver, '.'), nullptr);
  EXPECT_EQ(attr.node_guid, ibv_get_device_guid(a->device));
}

TEST_F(Objects, TheExtendedQueryAddsTheClock) {
  ibv_device_attr_ex attr{};
  ASSERT_EQ(ibv_query_device_ex(a.get(), nullptr, &attr), 0);
  EXPECT_EQ(attr.completion_timestamp_mask, UINT64_MAX);
  EXPECT_EQ(attr.hca_core_clock, 1000000u);
}

TEST_F(Objects, PortsAreActiveAndHaveDifferentAddresses) {
  ibv_port_attr one{};
  ibv_port_attr two{};
  ASSERT_EQ(ibv_query_port(a.get(), 1, &one), 0);
  ASSERT_EQ(ibv_query_port(b.get(), 1, &two), 0);
  EXPECT_EQ(one.state, IBV_PORT_ACTIVE);
  EXPECT_EQ(one.link_layer, IBV_LINK_LAYER_INFINIBAND);
  EXPECT_NE(one.lid, 0);
  EXPECT_NE(one.lid, two.lid);
  EXPECT_NE(ibv_query_port(a.get(), 2, &one), 0);
  union ibv_gid gid_one{};
  union ibv_gid gid_two{};
  ASSERT_EQ(ibv_query_gid(a.get(), 1, 0, &gid_one), 0);
  ASSERT_EQ(ibv_query_gid(b.get(), 1, 0, &gid_two), 0);
  EXPECT_NE(std::memcmp(&gid_one, &gid_two, sizeof(gid_one)), 0);
}

TEST_F(Objects, AProcessMayOpenADeviceTwice) {
  const ContextPtr again = open_nic(0);
  ASSERT_NE(again, nullptr);
  const PdPtr pd(ibv_alloc_pd(again.get()));
  EXPECT_NE(pd, nullptr);
}

TEST_F(Objects, CapabilitiesAreAtLeastWhatWasAsked) {
  for (const uint32_t sge : {1u, 2u, 3u, 7u, 30u}) {
    for (const uint32_t bytes : {0u, 33u, 480u}) {
      QpOptions options;
      options.max_wr = 33;
      options.max_sge = sge;
      options.max_inline = bytes;
      const Endpoint end(a.get(), options);
      ASSERT_NE(end.qp, nullptr);
      EXPECT_GE(end.cap.max_send_wr, 33u);
      EXPECT_GE(end.cap.max_recv_wr, 33u);
      EXPECT_GE(end.cap.max_send_sge, sge);
      EXPECT_GE(end.cap.max_recv_sge, sge);
      EXPECT_GE(end.cap.max_inline_data, bytes);
    }
  }
}

class Refused : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    pd.reset(ibv_alloc_pd(a.get()));
    cq.reset(ibv_create_cq(a.get(), 16, nullptr, nullptr, 0));
    attr.send_cq = cq.get();
    attr.recv_cq = cq.get();
    attr.cap = {16, 16, 1, 1, 0};
    attr.qp_type = IBV_QPT_RC;
  }
  void TearDown() override {
    cq.reset();
    pd.reset();
    TwoNics::TearDown();
  }
  void expect_refused(int error) {
    errno = 0;
    EXPECT_EQ(ibv_create_qp(pd.get(), &attr), nullptr);
    EXPECT_EQ(errno, error);
  }
  PdPtr pd;
  CqPtr cq;
  ibv_qp_init_attr attr{};
};

TEST_F(Refused, DatagramQueuePairs) {
  attr.qp_type = IBV_QPT_UD;
  expect_refused(EOPNOTSUPP);
}

TEST_F(Refused, TooManyWorkRequests) {
  attr.cap.max_send_wr = (1u << PNIC_QP_LOG_MAX) + 1;
  expect_refused(EINVAL);
}

TEST_F(Refused, TooManyScatterEntries) {
  attr.cap.max_recv_sge = PNIC_MAX_SGE + 1;
  expect_refused(EINVAL);
}

TEST_F(Refused, TooMuchInlineData) {
  attr.cap.max_inline_data = PNIC_MAX_INLINE + 1;
  expect_refused(EINVAL);
}

TEST_F(Refused, SharedReceiveQueues) {
  ibv_srq_init_attr srq{};
  srq.attr = {16, 1, 0};
  EXPECT_EQ(ibv_create_srq(pd.get(), &srq), nullptr);
  EXPECT_EQ(errno, EOPNOTSUPP);
}

TEST_F(Refused, CompletionQueuesWithoutOrWithTooManyEntries) {
  for (const int cqe : {0, -1, (1 << PNIC_CQ_LOG_MAX) + 1}) {
    errno = 0;
    EXPECT_EQ(ibv_create_cq(a.get(), cqe, nullptr, nullptr, 0), nullptr) << cqe;
    EXPECT_EQ(errno, EINVAL) << cqe;
  }
}

TEST_F(Refused, AVectorThatDoesNotExist) {
  EXPECT_EQ(ibv_create_cq(a.get(), 16, nullptr, nullptr, a->num_comp_vectors), nullptr);
}

TEST_F(Refused, RegistrationsThatMakeNoSense) {
  std::vector<uint8_t> memory(4096);
  const auto refused = [&](void* at, size_t length, int access, int error) {
    errno = 0;
    EXPECT_EQ(ibv_reg_mr(pd.get(), at, length, access), nullptr);
    EXPECT_EQ(errno, error);
  };
  refused(memory.data(), 0, kAllAccess, EINVAL);
  refused(memory.data(), 4096, IBV_ACCESS_REMOTE_WRITE, EINVAL);
  refused(memory.data(), 4096, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND, EOPNOTSUPP);
  refused(memory.data(), SIZE_MAX, kAllAccess, EINVAL);
  void* const hole = ::mmap(nullptr, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(hole, MAP_FAILED);
  refused(hole, 4096, kAllAccess, EFAULT);
  ::munmap(hole, 3 * 4096);
  refused(hole, 4096, kAllAccess, EFAULT);
}

TEST_F(Refused, DestroyingWhatIsInUse) {
  QpPtr qp(ibv_create_qp(pd.get(), &attr));
  ASSERT_NE(qp, nullptr);
  EXPECT_EQ(ibv_destroy_cq(cq.get()), EBUSY);
  EXPECT_EQ(ibv_dealloc_pd(pd.get()), EBUSY);
}

TEST_F(Refused, TransitionsThatAreNone) {
  QpPtr qp(ibv_create_qp(pd.get(), &attr));
  ASSERT_NE(qp, nullptr);
  ibv_qp_attr change{};
  change.qp_state = IBV_QPS_RTS;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &change, IBV_QP_STATE), EINVAL);
  change.qp_state = IBV_QPS_INIT;
  change.port_num = 1;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &change, IBV_QP_STATE | IBV_QP_ACCESS_FLAGS), EINVAL);
  change.port_num = 2;
  EXPECT_EQ(ibv_modify_qp(qp.get(), &change,
                          IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS),
            EINVAL);
}

TEST_F(Objects, QueryGivesBackWhatModifySet) {
  Endpoint end(a.get());
  Endpoint peer(b.get());
  end.connect(peer);
  ibv_qp_attr attr{};
  ibv_qp_init_attr init{};
  ASSERT_EQ(ibv_query_qp(end.qp.get(), &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_DEST_QPN, &init),
            0);
  ibv_port_attr port{};
  ASSERT_EQ(ibv_query_port(b.get(), 1, &port), 0);
  EXPECT_EQ(attr.qp_state, IBV_QPS_RTS);
  EXPECT_EQ(attr.dest_qp_num, peer.qp->qp_num);
  EXPECT_EQ(attr.ah_attr.dlid, port.lid);
  EXPECT_EQ(attr.path_mtu, IBV_MTU_4096);
  EXPECT_EQ(attr.timeout, 14);
  EXPECT_EQ(attr.retry_cnt, 2);
  EXPECT_EQ(attr.rnr_retry, 7);
  EXPECT_EQ(attr.min_rnr_timer, 1);
  EXPECT_EQ(init.cap.max_send_wr, end.cap.max_send_wr);
  EXPECT_EQ(init.cap.max_inline_data, end.cap.max_inline_data);
}

TEST_F(Objects, ManyOfThemCanBeMadeAndUnmade) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Endpoint>> ends;
    for (int i = 0; i < 100; ++i) {
      ends.push_back(std::make_unique<Endpoint>(a.get()));
      ASSERT_NE(ends.back()->qp, nullptr) << i;
    }
  }
}

}  // namespace
}  // namespace peermr::test
