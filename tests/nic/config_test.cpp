// SPDX-License-Identifier: BSD-2-Clause
//
// The PCI function: configuration space, resets, power states.

#include <cerrno>

#include "fixture.hpp"

namespace peermr::test {
namespace {

constexpr uint64_t kCommand = 0x04;
constexpr uint64_t kStatus = 0x06;
constexpr uint64_t kBarRegister0 = 0x10;

class Config : public ::testing::Test {
 protected:
  void SetUp() override { client = std::make_unique<VfioClient>(pnicd.socket(0)); }

  uint32_t get(uint64_t offset, size_t size) {
    return static_cast<uint32_t>(client->read(kConfig, offset, size));
  }
  void set(uint64_t offset, uint32_t value, size_t size) {
    client->write(kConfig, offset, value, size);
  }

  uint8_t capability(uint8_t id) {
    for (auto at = static_cast<uint8_t>(get(0x34, 1)); at != 0;
         at = static_cast<uint8_t>(get(at + 1u, 1))) {
      if (get(at, 1) == id) return at;
    }
    return 0;
  }

  PnicdProcess pnicd{1};
  std::unique_ptr<VfioClient> client;
};

TEST_F(Config, IdentityIsTheSpecifications) {
  EXPECT_EQ(get(0, 2), PNIC_PCI_VENDOR_ID);
  EXPECT_EQ(get(2, 2), PNIC_PCI_DEVICE_ID);
  EXPECT_EQ(get(8, 4) >> 8, uint32_t{PNIC_PCI_CLASS});
  EXPECT_EQ(get(0x0e, 1), 0u);
  EXPECT_TRUE(get(kStatus, 2) & 0x10);
}

TEST_F(Config, ReadOnlyBitsStay) {
  for (const uint64_t offset : {0u, 2u, 6u, 8u, 0xau, 0xeu, 0x2cu, 0x2eu, 0x34u}) {
    const uint32_t before = get(offset, 2);
    set(offset, ~before & 0xffff, 2);
    EXPECT_EQ(get(offset, 2), before) << offset;
  }
  set(kCommand, 0xffff, 2);
  EXPECT_EQ(get(kCommand, 2), 0x546u);
}

TEST_F(Config, BarsTellTheirSizes) {
  const auto size_of = [&](uint64_t at) {
    set(at, 0xffffffff, 4);
    set(at + 4, 0xffffffff, 4);
    const uint64_t value = uint64_t{get(at + 4, 4)} << 32 | (get(at, 4) & ~0xfu);
    return ~value + 1;
  };
  EXPECT_EQ(get(kBarRegister0, 4) & 0xf, 0x4u);      // 64-bit
  EXPECT_EQ(get(kBarRegister0 + 8, 4) & 0xf, 0xcu);  // 64-bit, prefetchable
  EXPECT_EQ(size_of(kBarRegister0), PNIC_BAR_REGS_SIZE);
  EXPECT_EQ(size_of(kBarRegister0 + 8), PNIC_BAR_DOORBELL_SIZE);
  set(kBarRegister0 + 16, 0xffffffff, 4);
  EXPECT_EQ(get(kBarRegister0 + 16, 4), 0u);
}

TEST_F(Config, CapabilitiesAreThoseOfTheSpecification) {
  const uint8_t express = capability(0x10);
  const uint8_t msix = capability(0x11);
  const uint8_t power = capability(0x01);
  ASSERT_TRUE(express != 0 && msix != 0 && power != 0);
  EXPECT_TRUE(get(express + 4u, 4) & 1u << 28);  // FLR
  EXPECT_EQ((get(express + 2u, 2) >> 4) & 0xf, 0u);
  EXPECT_EQ(get(msix + 2u, 2) & 0x7ff, PNIC_NUM_VECTORS - 1);
  EXPECT_EQ(get(msix + 4u, 4), PNIC_MSIX_TABLE_OFFSET | PNIC_BAR_REGS);
  EXPECT_EQ(get(msix + 8u, 4), PNIC_MSIX_PBA_OFFSET | PNIC_BAR_REGS);
}

TEST_F(Config, RegistersNeedMemoryDecoding) {
  EXPECT_EQ(client->call(kCmdRegionRead, Payload().u64(0).u32(kBar0).u32(4)).error,
            static_cast<uint32_t>(EIO));
  set(kCommand, 2, 2);
  EXPECT_EQ(client->read(kBar0, PNIC_REG_MAGIC, 4), PNIC_MAGIC);
  EXPECT_EQ(client->read(kBar0, PNIC_REG_VERSION, 4) >> 16, PNIC_VERSION_MAJOR);
}

TEST_F(Config, OnlyAlignedWordsReachTheRegisters) {
  set(kCommand, 2, 2);
  EXPECT_EQ(client->read(kBar0, 0, 2), 0xffffu);
  EXPECT_EQ(client->read(kBar0, 2, 4), 0xffffffffu);
  EXPECT_EQ(client->read(kBar0, 0, 8), ~uint64_t{0});
  EXPECT_EQ(client->read(kBar0, 0x800, 4), 0u);
  EXPECT_EQ(client->read(kBar0, PNIC_KICK_OFFSET, 4), 0u);
  client->write(kBar0, PNIC_REG_ADMIN_SIZE, 5, 4);
  client->write(kBar0, PNIC_REG_ADMIN_SIZE, 6, 2);
  EXPECT_EQ(client->read(kBar0, PNIC_REG_ADMIN_SIZE, 4), 5u);
  for (uint64_t offset = 0; offset < PNIC_BAR_REGS_SIZE; offset += 4) {
    if (offset != PNIC_REG_CTRL) client->write(kBar0, offset, 0xffffffff, 4);
  }
  EXPECT_EQ(client->read(kBar0, PNIC_REG_MAGIC, 4), PNIC_MAGIC);
  EXPECT_EQ(client->read(kBar0, PNIC_REG_STATUS, 4), 0u);
}

class Reset : public TwoNics {};

TEST_F(Reset, FlrEmptiesTheDevice) {
  connect();
  const uint32_t older_key = a_key;
  const uint64_t bar_slot = a_qp->slot;
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 64));
  a_qp->ring();
  a->send_cq.next();
  a->nic.set_config16(0x68, 0x8000);  // device control: initiate FLR
  EXPECT_EQ(a->nic.config16(kCommand), 0u);
  EXPECT_EQ(a->nic.slot(static_cast<uint32_t>(bar_slot))[0], 0u);
  a->nic.set_config16(kCommand, 6);
  EXPECT_EQ(a->nic.reg(PNIC_REG_STATUS), 0u);
  EXPECT_EQ(a->nic.reg(PNIC_REG_ADMIN_SIZE), 0u);
  a->nic.enable(6);
  EXPECT_EQ(a->nic.on_object(PNIC_CMD_DESTROY_QP, a_qp->qpn).status, PNIC_CMD_BAD_HANDLE);
  EXPECT_EQ(a->nic.on_object(PNIC_CMD_DESTROY_MR, older_key).status, PNIC_CMD_BAD_HANDLE);
  // Keys go on where they were, and so do the counters.
  const uint32_t pd = a->nic.alloc_pd();
  EXPECT_GT(a->nic.create_mr(pd, a_bus, 0, 4096, 0), older_key);
  EXPECT_GE(a->nic.stat(PNIC_STAT_TX_WRITE), 1u);
}

TEST_F(Reset, TheWayBackFromD3hotResets) {
  a->nic.set_config16(0x44, 3);
  EXPECT_EQ(a->nic.vfio.call(kCmdRegionRead, Payload().u64(0).u32(kBar0).u32(4)).error,
            static_cast<uint32_t>(EIO));
  a->nic.set_config16(0x44, 0);
  a->nic.set_config16(kCommand, 6);
  EXPECT_EQ(a->nic.reg(PNIC_REG_STATUS), 0u);
}

TEST_F(Reset, MissingPowerStatesAreIgnored) {
  a->nic.set_config16(0x44, 1);
  EXPECT_EQ(a->nic.config16(0x44) & 3, 0u);
  a->nic.set_config16(0x44, 2);
  EXPECT_EQ(a->nic.config16(0x44) & 3, 0u);
}

TEST_F(Reset, DisablingEmptiesTheDeviceButKeepsItsConfiguration) {
  a->nic.set_reg(PNIC_REG_CTRL, 0);
  EXPECT_EQ(a->nic.reg(PNIC_REG_STATUS), 0u);
  EXPECT_EQ(a->nic.config16(kCommand), 6u);
  a->nic.enable(6);
  EXPECT_EQ(a->nic.on_object(PNIC_CMD_FREE_PD, a->pdn).status, PNIC_CMD_BAD_HANDLE);
}

TEST_F(Reset, DeviceResetMessageKeepsMemoryAndInterrupts) {
  a->nic.use_eventfd(0);
  ASSERT_TRUE(a->nic.vfio.call(kCmdReset, Payload()).ok());
  EXPECT_EQ(a->nic.config16(kCommand), 0u);
  a->nic.set_config16(kCommand, 6);
  a->nic.enable(6);  // its admin queue lies in memory that was mapped before
  EXPECT_GT(a->nic.interrupts(0), 0u);
}

TEST_F(Reset, NothingMovesWithoutBusMastering) {
  connect();
  fill_pattern(memory->span(a_bus, 4096), 1);
  a->nic.set_config16(kCommand, 2);
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 4096));
  a_qp->ring();
  EXPECT_TRUE(a->send_cq.stays_empty(std::chrono::milliseconds(10)));
  EXPECT_NE(std::memcmp(memory->at(a_bus), memory->at(b_bus), 4096), 0);
  a->nic.set_config16(kCommand, 6);
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_SUCCESS);
}

TEST_F(Reset, AResponderWithoutBusMasteringIsSilent) {
  connect();
  b->nic.set_config16(kCommand, 2);
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 4096));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_RETRY_EXC_ERR);
  b->nic.set_config16(kCommand, 6);
}

TEST_F(Reset, APeerThatDisconnectsIsSilent) {
  connect();
  b.reset();
  a_qp->post(request(PNIC_WQE_RDMA_WRITE, 0, 4096));
  a_qp->ring();
  EXPECT_EQ(a->send_cq.next().status, PNIC_CQE_RETRY_EXC_ERR);
  check_self_tests = false;
}

}  // namespace
}  // namespace peermr::test
