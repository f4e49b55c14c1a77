// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// What the verbs tests share: two NICs in one process, connected queue pairs, and polls that give up.

#include <gtest/gtest.h>
#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace peermr::test {

inline constexpr int kAllAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
                                  IBV_ACCESS_REMOTE_READ;

struct ContextCloser {
  void operator()(ibv_context* p) const { EXPECT_EQ(ibv_close_device(p), 0); }
};
struct PdCloser {
  void operator()(ibv_pd* p) const { EXPECT_EQ(ibv_dealloc_pd(p), 0); }
};
struct MrCloser {
  void operator()(ibv_mr* p) const { EXPECT_EQ(ibv_dereg_mr(p), 0); }
};
struct CqCloser {
  void operator()(ibv_cq* p) const { EXPECT_EQ(ibv_destroy_cq(p), 0); }
};
struct QpCloser {
  void operator()(ibv_qp* p) const { EXPECT_EQ(ibv_destroy_qp(p), 0); }
};
struct ChannelCloser {
  void operator()(ibv_comp_channel* p) const { EXPECT_EQ(ibv_destroy_comp_channel(p), 0); }
};
using ContextPtr = std::unique_ptr<ibv_context, ContextCloser>;
using PdPtr = std::unique_ptr<ibv_pd, PdCloser>;
using MrPtr = std::unique_ptr<ibv_mr, MrCloser>;
using CqPtr = std::unique_ptr<ibv_cq, CqCloser>;
using QpPtr = std::unique_ptr<ibv_qp, QpCloser>;
using ChannelPtr = std::unique_ptr<ibv_comp_channel, ChannelCloser>;

/// Opens pnic`index`.
ContextPtr open_nic(int index);

/// A registered buffer with a pattern that depends on `seed`.
struct Buffer {
  Buffer(ibv_pd* pd, size_t bytes, uint8_t seed = 0, int access = kAllAccess);
  ibv_sge sge(size_t offset, size_t length) const;
  ibv_sge sge() const { return sge(0, data.size()); }
  uint64_t address(size_t offset = 0) const {
    return reinterpret_cast<uintptr_t>(data.data()) + offset;
  }
  void fill(uint8_t seed);

  std::vector<uint8_t> data;
  MrPtr mr;
};

struct QpOptions {
  uint32_t max_wr = 64;
  uint32_t max_sge = 4;
  uint32_t max_inline = 64;
  bool sq_sig_all = false;
  uint32_t cqe = 128;
  uint64_t send_ops = 0;  // IBV_QP_EX_WITH_*; 0: a plain QP
  ibv_comp_channel* channel = nullptr;
  int access = kAllAccess;  // what the peer may do
  uint8_t rnr_retry = 7;
  uint8_t timeout = 14;
};

/// One side of a connection: PD, CQ and QP.
struct Endpoint {
  Endpoint(ibv_context* opened, const QpOptions& with = {});

  /// INIT, RTR, RTS towards `peer`, through LIDs.
  void connect(const Endpoint& peer);
  void to_init();

  /// Waits for one completion; fails the test and returns a zeroed one after five seconds.
  ibv_wc wait();
  /// wait() and the check that it succeeded.
  ibv_wc expect_success();
  /// False if a completion is there or comes within `ms`.
  bool stays_silent(int ms = 30);

  int post_send(ibv_wr_opcode opcode, std::vector<ibv_sge> sges, uint64_t wr_id = 0,
                uint64_t remote = 0, uint32_t rkey = 0, unsigned flags = IBV_SEND_SIGNALED,
                uint32_t imm = 0);
  int post_recv(std::vector<ibv_sge> sges, uint64_t wr_id = 0);

  ibv_context* context;
  QpOptions options;
  ibv_qp_cap cap{};  // as granted
  PdPtr pd;
  CqPtr cq;
  QpPtr qp;
};

/// Two NICs, and a check at the end that their self checks have found nothing.
class TwoNics : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  ContextPtr a;
  ContextPtr b;
};

/// Endpoints on both NICs, connected to each other.
class Connected : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    connect({}, {});
  }
  void TearDown() override {
    left.reset();
    right.reset();
    TwoNics::TearDown();
  }
  void connect(const QpOptions& left_options, const QpOptions& right_options);

  std::unique_ptr<Endpoint> left;
  std::unique_ptr<Endpoint> right;
};

/// A counter (enum pnic_stat) of the NIC behind `context`.
uint64_t statistic(ibv_context* context, unsigned counter);

}  // namespace peermr::test
