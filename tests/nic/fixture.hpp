// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "pnicd_process.hpp"
#include "queues.hpp"

namespace peermr::test {

/// One NIC with what a consumer needs: PD, event queue, completion queues.
struct Side {
  Side(const std::string& socket, std::shared_ptr<GuestMemory> memory)
      : nic(socket, std::move(memory)),
        events(nic, 1),
        send_cq(nic, events.eqn),
        recv_cq(nic, events.eqn),
        pdn(nic.alloc_pd()) {}

  PnicClient nic;
  EventRing events;
  CompletionRing send_cq;
  CompletionRing recv_cq;
  uint32_t pdn;
};

constexpr uint32_t kAllAccess =
    PNIC_ACCESS_LOCAL_WRITE | PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_READ;

/// Two NICs of one pnicd, joined by its wire, with a connected queue pair and an MR each.
class TwoNics : public ::testing::Test {
 protected:
  static constexpr uint64_t kBytes = 4 << 20;
  static constexpr uint64_t kIova = 0x10'0000'0000;  // unlike any bus address

  explicit TwoNics(const std::vector<std::string>& options = {}) : pnicd(2, options) {}

  void SetUp() override {
    memory = std::make_shared<GuestMemory>(256u << 20);
    a = std::make_unique<Side>(pnicd.socket(0), memory);
    b = std::make_unique<Side>(pnicd.socket(1), memory);
    a_bus = memory->alloc(kBytes);
    b_bus = memory->alloc(kBytes);
    a_key = a->nic.create_mr(a->pdn, a_bus, kIova, kBytes, kAllAccess, PNIC_MR_FAULTABLE);
    b_key = b->nic.create_mr(b->pdn, b_bus, kIova, kBytes, kAllAccess, PNIC_MR_FAULTABLE);
    a_qp = std::make_unique<QueuePairClient>(a->nic, a->pdn, a->send_cq, a->recv_cq);
    b_qp = std::make_unique<QueuePairClient>(b->nic, b->pdn, b->send_cq, b->recv_cq);
  }

  void TearDown() override {
    if (check_self_tests && a && pnicd.alive()) expect_no_wrong_dma();
    a.reset();
    b.reset();
    EXPECT_EQ(pnicd.stop(), 0) << "pnicd did not live until it was told to end";
  }

  void expect_no_wrong_dma() {
    for (Side* side : {a.get(), b.get()}) {
      if (side->nic.reg(PNIC_REG_STATUS) != PNIC_STATUS_READY) continue;
      EXPECT_EQ(side->nic.stat(PNIC_STAT_DMA_AFTER_INVALIDATE), 0u);
      EXPECT_EQ(side->nic.stat(PNIC_STAT_DMA_UNMAPPED), expected_unmapped);
    }
  }

  void connect(QueuePairClient::Connection template_a = {},
               QueuePairClient::Connection template_b = {}) {
    template_a.lid = 2;
    template_a.qpn = b_qp->qpn;
    template_b.lid = 1;
    template_b.qpn = a_qp->qpn;
    a_qp->connect(template_a);
    b_qp->connect(template_b);
  }

  pnic_sge a_sge(uint64_t offset, uint32_t length) const { return {kIova + offset, length, a_key}; }
  pnic_sge b_sge(uint64_t offset, uint32_t length) const { return {kIova + offset, length, b_key}; }

  /// A signaled WRITE, READ or SEND from A.
  QueuePairClient::Send request(uint8_t opcode, uint64_t offset, uint32_t length,
                                uint64_t remote_offset = 0) const {
    QueuePairClient::Send send;
    send.opcode = opcode;
    send.wr_id = 0x1000 + offset;
    send.sges = {a_sge(offset, length)};
    send.remote_addr = kIova + remote_offset;
    send.rkey = b_key;
    return send;
  }

  PnicdProcess pnicd;
  std::shared_ptr<GuestMemory> memory;
  std::unique_ptr<Side> a;
  std::unique_ptr<Side> b;
  uint64_t a_bus = 0;
  uint64_t b_bus = 0;
  uint32_t a_key = 0;
  uint32_t b_key = 0;
  std::unique_ptr<QueuePairClient> a_qp;
  std::unique_ptr<QueuePairClient> b_qp;
  bool check_self_tests = true;
  uint64_t expected_unmapped = 0;
};

}  // namespace peermr::test
