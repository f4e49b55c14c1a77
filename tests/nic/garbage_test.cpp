// SPDX-License-Identifier: BSD-2-Clause
//
// Garbage in registers, rings, doorbells and commands: pnicd lives, answers, and writes nowhere
// else. The seeds are fixed, so that a failure comes again.

#include <cstring>
#include <random>

#include "fixture.hpp"

namespace peermr::test {
namespace {

class Garbage : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    check_self_tests = false;
    canary = memory->alloc(1 << 20);
    fill_pattern(memory->span(canary, 1 << 20), 77);
  }

  void TearDown() override {
    EXPECT_TRUE(has_pattern(memory->span(canary, 1 << 20), 77));
    // Each device still works after a reset.
    for (Side* side : {a.get(), b.get()}) {
      ASSERT_TRUE(side->nic.vfio.call(kCmdReset, Payload()).ok());
      side->nic.set_config16(4, 6);
      side->nic.enable(4);
      side->nic.alloc_pd();
    }
    a.reset();
    b.reset();
    EXPECT_EQ(pnicd.stop(), 0);
  }

  uint32_t any() { return static_cast<uint32_t>(random()); }
  /// Mostly small numbers, sometimes anything.
  uint32_t likely(uint32_t limit) { return random() % 8 == 0 ? any() : any() % limit; }

  /// An address that is often in reach, and never the canary's.
  uint64_t address() {
    switch (random() % 4) {
      case 0:
        return random();
      case 1:
        return kIova + random() % (kBytes + 8192) - 4096;
      default:
        return a_bus + random() % (2 * kBytes);
    }
  }

  std::mt19937_64 random{20261120};
  uint64_t canary = 0;
};

TEST_F(Garbage, Registers) {
  for (int i = 0; i < 10000; ++i) {
    const uint32_t region = random() % 4 == 0 ? kConfig : kBar0;
    const uint32_t size = 1u << random() % 4;
    const uint64_t limit = region == kConfig ? 4096 : PNIC_BAR_REGS_SIZE;
    const uint64_t offset = random() % 2 == 0 ? random() % 0x80 : random() % (limit - size);
    const uint64_t value = random();
    const Payload write = Payload().u64(offset).u32(region).u32(size).raw(&value, size);
    ASSERT_FALSE(a->nic.vfio
                     .call(random() % 2 == 0 ? kCmdRegionWrite : kCmdRegionRead,
                           random() % 2 == 0 ? write : Payload().u64(offset).u32(region).u32(size))
                     .closed);
  }
}

TEST_F(Garbage, AdminCommands) {
  a->nic.set_reg(PNIC_REG_CTRL, 0);
  a->nic.enable(4);
  constexpr uint8_t kOpcodes[] = {0x01, 0x02, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x23, 0x24,
                                  0x30, 0x31, 0x32, 0x33, 0x40, 0x41, 0x42, 0x43, 0x50, 0xff};
  for (int i = 0; i < 5000; ++i) {
    pnic_cmd c{};
    c.hdr.opcode = kOpcodes[random() % sizeof(kOpcodes)];
    for (uint32_t field = 0; field < PNIC_CMD_PAYLOAD_SIZE / 4; ++field) {
      uint32_t value = random() % 2 == 0 ? 0 : likely(40);
      if (random() % 16 == 0) {
        const uint64_t bus = address();
        std::memcpy(c.u.payload + (field & ~1u) * 4, &bus, 8);
        continue;
      }
      std::memcpy(c.u.payload + field * 4, &value, 4);
    }
    a->nic.admin(c);  // answered, whatever it is
  }
}

TEST_F(Garbage, WorkRequests) {
  const auto sge = [&] {
    return pnic_sge{address(), likely(9000),
                    random() % 4 == 0 ? likely(16) : (random() % 2 == 0 ? a_key : b_key)};
  };
  for (int round = 0; round < 400; ++round) {
    a_qp->to_reset();
    b_qp->to_reset();
    connect({.timeout = 1, .retry_cnt = 0, .rnr_retry = 0},
            {.timeout = 1, .retry_cnt = 0, .rnr_retry = 0});
    for (int i = 0; i < 8; ++i) {
      for (QueuePairClient* qp : {a_qp.get(), b_qp.get()}) {
        std::vector<std::byte> wqe(512);
        pnic_sq_wqe head{};
        head.opcode = static_cast<__u8>(random() % 6);
        head.flags = static_cast<__u8>(random() % (random() % 8 == 0 ? 32 : 16));
        head.num_sge = static_cast<__u8>(random() % 8 == 0 ? random() : random() % 4);
        head.reserved = random() % 64 == 0;
        head.wr_id = random();
        head.remote_addr = address();
        head.rkey = random() % 8 == 0 ? likely(16) : (random() % 2 == 0 ? a_key : b_key);
        head.inline_len = likely(500);
        std::memcpy(wqe.data(), &head, sizeof(head));
        for (size_t at = sizeof(head); at + sizeof(pnic_sge) <= wqe.size();
             at += sizeof(pnic_sge)) {
          const pnic_sge one = sge();
          std::memcpy(wqe.data() + at, &one, sizeof(one));
        }
        qp->post_raw(true, wqe);
        std::vector<std::byte> receive(64);
        const pnic_rq_wqe receive_head{random(), likely(4), random() % 64 == 0 ? 1u : 0u};
        std::memcpy(receive.data(), &receive_head, sizeof(receive_head));
        for (size_t at = sizeof(receive_head); at + sizeof(pnic_sge) <= receive.size();
             at += sizeof(pnic_sge)) {
          const pnic_sge one = sge();
          std::memcpy(receive.data() + at, &one, sizeof(one));
        }
        qp->post_raw(false, receive);
        qp->ring();
      }
    }
    for (Side* side : {a.get(), b.get()}) {
      while (side->send_cq.poll()) {
      }
      while (side->recv_cq.poll()) {
      }
      while (side->events.poll()) {
      }
    }
  }
  ASSERT_TRUE(pnicd.alive());
}

TEST_F(Garbage, Doorbells) {
  for (int round = 0; round < 150; ++round) {
    a_qp->to_reset();
    b_qp->to_reset();
    connect({.timeout = 1, .retry_cnt = 0, .rnr_retry = 0});
    for (uint32_t slot = 0; slot < 16; ++slot) {
      a->nic.ring_both(slot, likely(80), likely(80));
      b->nic.ring_both(slot, likely(80), any());
    }
    ASSERT_EQ(a->nic.reg(PNIC_REG_MAGIC), PNIC_MAGIC);
    // The consumers' counts, as they should be.
    a->nic.ring_low(a->send_cq.slot, a->send_cq.consumed);
  }
}

TEST_F(Garbage, RingsThatChangeWhileTheyAreRead) {
  connect();
  const uint64_t end = std::chrono::steady_clock::now().time_since_epoch().count() + 500'000'000;
  while (static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) < end) {
    if (a_qp->state() != PNIC_QPS_RTS || b_qp->state() != PNIC_QPS_RTS) {
      a_qp->to_reset();
      b_qp->to_reset();
      connect();
    }
    for (int i = 0; i < 32; ++i) a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 4096));
    a_qp->ring();
    // Behind the doorbell's back.
    a_qp->sq_pi -= 32;
    for (int i = 0; i < 32; ++i) {
      auto send = request(PNIC_WQE_RDMA_WRITE, 0, likely(8192), likely(8192));
      send.rkey = likely(10);
      a_qp->post(send);
    }
    while (a->send_cq.poll()) {
    }
  }
  while (a->events.poll()) {
  }
}

}  // namespace
}  // namespace peermr::test
