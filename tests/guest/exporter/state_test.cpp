// SPDX-License-Identifier: BSD-2-Clause
//
// States of a buffer: revoked and back, held until re-armed, revoked for good, private.
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "exporter/fixture.hpp"

namespace exporter_test {
namespace {

constexpr std::uint32_t kLive = PEERMR_EXPORT_LIVE, kRevoked = PEERMR_EXPORT_REVOKED,
                        kHeld = PEERMR_EXPORT_HELD, kDead = PEERMR_EXPORT_DEAD;

class State : public ExporterTest {
 protected:
  Nic nic_;

  std::uint64_t invalidates(const Fd& buffer) const {
    return device_.query(buffer.get()).invalidates;
  }
  std::uint64_t mappings(const Fd& buffer) const { return device_.query(buffer.get()).mappings; }
};

TEST_F(State, DecodeOffRevokesOnceAndDecodeOnRestoresOnce) {
  const Fd buffer = make();
  const auto mr = nic_.import(buffer.get(), kPage);
  ASSERT_TRUE(mr);
  EXPECT_EQ(mappings(buffer), 1u);

  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_EQ(state(buffer), kRevoked);
  EXPECT_EQ(mappings(buffer), 0u);
  EXPECT_EQ(invalidates(buffer), 1u);
  EXPECT_EQ(device_.info().why, static_cast<std::uint32_t>(PEERMR_WHY_MEMORY));
  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_EQ(invalidates(buffer), 1u);

  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(state(buffer), kLive);
  EXPECT_EQ(invalidates(buffer), 2u);
  const auto info = device_.info();
  EXPECT_EQ(info.why, 0u);
  EXPECT_EQ(info.restores, info.revokes);
  EXPECT_EQ(info.late_revokes, 0u);
}

TEST_F(State, BusMasterAndIntxAreNoReasonForARevoke) {
  const Fd buffer = make();
  std::uint16_t command = 0;
  ASSERT_EQ(device_.read(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2), 2);
  for (const int bit : {PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE}) {
    for (int i = 0; i < 2; ++i) {
      command = static_cast<std::uint16_t>(command ^ bit);
      ASSERT_EQ(device_.write(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2), 2);
    }
  }
  EXPECT_EQ(invalidates(buffer), 0u);
  EXPECT_EQ(state(buffer), kLive);
}

TEST_F(State, AnMrCannotBeMadeWhileRevokedAndCanAfterwards) {
  const Fd buffer = make();
  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_FALSE(nic_.import(buffer.get(), kPage));
  EXPECT_EQ(errno, ENODEV);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_TRUE(nic_.import(buffer.get(), kPage));
}

TEST_F(State, AManualBufferIsHeldUntilItIsRearmed) {
  const Fd manual = make(PEERMR_EXPORT_MANUAL_REARM);
  const Fd automatic = make();
  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_EQ(device_.rearm(manual.get(), revokes(manual)), -EAGAIN);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(state(automatic), kLive);
  EXPECT_EQ(state(manual), kHeld);
  EXPECT_EQ(invalidates(manual), 1u) << "nothing changed for its importers";
  EXPECT_FALSE(nic_.import(manual.get(), kPage));
  EXPECT_EQ(errno, ENODEV);

  EXPECT_EQ(device_.rearm(manual.get(), revokes(manual)), 0);
  EXPECT_EQ(state(manual), kLive);
  EXPECT_EQ(invalidates(manual), 2u);
  EXPECT_TRUE(nic_.import(manual.get(), kPage));
  EXPECT_EQ(device_.rearm(manual.get(), revokes(manual)), 0) << "live already";
}

TEST_F(State, RearmFailsAfterARevokeThatTheCallerHasNotSeen) {
  const Fd buffer = make(PEERMR_EXPORT_MANUAL_REARM);
  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  const std::uint64_t seen = revokes(buffer);
  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(device_.rearm(buffer.get(), seen), -ESTALE);
  EXPECT_EQ(state(buffer), kHeld);
  EXPECT_EQ(device_.rearm(buffer.get(), seen + 1), 0);
  EXPECT_EQ(state(buffer), kLive);
}

TEST_F(State, TheModeOfReArmingCanBeChanged) {
  const Fd buffer = make();
  EXPECT_EQ(device_.rearm(buffer.get(), 0, PEERMR_REARM_MODE_ONLY | PEERMR_REARM_MANUAL), 0);
  EXPECT_EQ(device_.query(buffer.get()).flags,
            static_cast<std::uint32_t>(PEERMR_EXPORT_MANUAL_REARM));
  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(state(buffer), kHeld);
  EXPECT_EQ(device_.rearm(buffer.get(), 1, PEERMR_REARM_AUTOMATIC), 0);
  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(state(buffer), kLive);
  EXPECT_EQ(device_.rearm(buffer.get(), 2, PEERMR_REARM_MANUAL | PEERMR_REARM_AUTOMATIC), -EINVAL);
  EXPECT_EQ(device_.rearm(buffer.get(), 2, 1u << 9), -EINVAL);
}

TEST_F(State, ARevokeForGoodIsForGoodAndForThatBufferOnly) {
  const Fd buffer = make();
  const Fd other = make();
  const Fd copy(::dup(buffer.get()));
  const auto mr = nic_.import(buffer.get(), kPage);
  const auto other_mr = nic_.import(other.get(), kPage);
  Mapping mapping(buffer.get(), kPage);
  ASSERT_TRUE(try_read(mapping.word()));

  EXPECT_EQ(device_.revoke(copy.get()), 0);
  EXPECT_EQ(state(buffer), kDead);
  EXPECT_EQ(mappings(buffer), 0u);
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_EQ(Mapping(buffer.get(), kPage).error(), ENODEV);
  EXPECT_FALSE(nic_.import(buffer.get(), kPage));
  EXPECT_EQ(errno, ENODEV);
  EXPECT_EQ(device_.revoke(buffer.get()), -EBADFD);
  EXPECT_EQ(device_.rearm(buffer.get(), revokes(buffer)), -EBADFD);

  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(state(buffer), kDead);
  EXPECT_EQ(state(other), kLive);
  EXPECT_TRUE(make().ok()) << "the range can be exported again";
}

TEST_F(State, ResetIsOneRevokeAndOneRestore) {
  Device nvme(lab("LAB_NVME"));
  const Fd buffer =
      nvme.export_buffer(static_cast<std::uint32_t>(lab_number("LAB_PMR_BAR")), {{0, kPage}});
  ASSERT_EQ(nvme.reset(), 0);
  auto query = nvme.query(buffer.get());
  EXPECT_EQ(query.state, kLive);
  EXPECT_EQ(query.revokes, 1u);
  EXPECT_EQ(query.invalidates, 2u);

  const std::uint8_t pcie = nvme.capability(PCI_CAP_ID_EXP);
  ASSERT_NE(pcie, 0);
  const std::uint8_t flr = static_cast<std::uint8_t>(
      nvme.config_byte(pcie + PCI_EXP_DEVCTL + 1) | PCI_EXP_DEVCTL_BCR_FLR >> 8);
  ASSERT_EQ(nvme.write(VFIO_PCI_CONFIG_REGION_INDEX, pcie + PCI_EXP_DEVCTL + 1, &flr, 1), 1);
  query = nvme.query(buffer.get());
  EXPECT_EQ(query.state, kLive);
  EXPECT_EQ(query.invalidates, 4u);

  const std::uint8_t pm = nvme.capability(PCI_CAP_ID_PM);
  ASSERT_NE(pm, 0);
  for (const std::uint16_t power : {std::uint16_t{3}, std::uint16_t{0}}) {
    ASSERT_EQ(nvme.write(VFIO_PCI_CONFIG_REGION_INDEX, pm + PCI_PM_CTRL, &power, 2), 2);
    EXPECT_EQ(nvme.query(buffer.get()).state, power ? kRevoked : kLive);
  }
  EXPECT_EQ(nvme.query(buffer.get()).invalidates, 6u);
  EXPECT_EQ(nvme.info().late_revokes, 0u);
}

TEST_F(State, AReadOnlyBufferIsNotImportedByWhoMayWrite) {
  const Fd buffer = make(0, O_RDONLY | O_CLOEXEC);
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(device_.query(buffer.get()).read_only, 1);
  EXPECT_FALSE(nic_.import(buffer.get(), kPage));
  EXPECT_EQ(errno, EACCES);
}

TEST_F(State, SeveralRangesAreOneMrOnEveryPath) {
  const Fd buffer = make({{4 * kPage, kPage}, {0, 2 * kPage}, {16 * kPage, kPage}});
  const Fd plain = make({{0, 32 * kPage}});
  Mapping bar(plain.get(), 32 * kPage);
  auto loopback = pnic_test::Loopback::create(nic_.context());
  std::vector<std::uint32_t> host(4 * kPage / 4);
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<std::uint32_t>(i * 2654435761u);
  const pnic_test::Mr source(
      ibv_reg_mr(loopback.pd.get(), host.data(), 4 * kPage, IBV_ACCESS_LOCAL_WRITE));
  const pnic_test::Mr target(
      ibv_reg_dmabuf_mr(loopback.pd.get(), 0, 4 * kPage, 0, buffer.get(), kRemoteAccess));
  ASSERT_TRUE(target) << errno;
  ASSERT_EQ(pnic_test::rdma(loopback, IBV_WR_RDMA_WRITE,
                            {reinterpret_cast<std::uintptr_t>(host.data()), 4 * kPage, source->lkey},
                            0, target->rkey),
            IBV_WC_SUCCESS);
  const std::uint64_t pages[] = {4, 0, 1, 16};
  for (std::size_t page = 0; page < 4; ++page)
    for (std::size_t byte = 0; byte < kPage; byte += 4)
      ASSERT_EQ(*bar.word(pages[page] * kPage + byte), host[(page * kPage + byte) / 4]);
}

TEST_F(State, PrivateMemoryIsReachedByNobody) {
  const Fd buffer = make(PEERMR_EXPORT_NO_MMAP);
  const auto mr = nic_.import(buffer.get(), kPage);
  ASSERT_TRUE(mr);
  ASSERT_EQ(device_.make_private(), 0);
  EXPECT_EQ(device_.make_private(), -EALREADY);
  EXPECT_EQ(device_.info().private_memory, 1);
  EXPECT_EQ(device_.query(buffer.get()).private_memory, 1);
  EXPECT_EQ(mappings(buffer), 0u);
  EXPECT_FALSE(nic_.import(buffer.get(), kPage));
  EXPECT_EQ(errno, EPERM);

  std::uint32_t word = 0;
  EXPECT_EQ(device_.read(bar_, 0, &word, 4), -EPERM);
  EXPECT_EQ(device_.write(bar_, 0, &word, 4), -EPERM);
  EXPECT_EQ(device_.map_bar(bar_, kPage).error(), EPERM);
  EXPECT_EQ(make().error(), EPERM);
  EXPECT_EQ(make({{0, kPage}}, PEERMR_EXPORT_DELEGATE).error(), EPERM);
  EXPECT_EQ(device_.config_byte(PCI_VENDOR_ID), 0xf4) << "configuration space is not memory";

  device_.close();
  Device again(bdf_);
  EXPECT_EQ(again.info().private_memory, 0);
  EXPECT_TRUE(again.map_bar(bar_, kPage).ok());
}

TEST_F(State, WhatWasMappedBeforeIsZappedOnRequestOrRefused) {
  const Mapping bar = device_.map_bar(bar_, kPage);
  ASSERT_TRUE(try_read(bar.word()));
  EXPECT_EQ(device_.make_private(), -EBUSY);
  EXPECT_TRUE(try_read(bar.word()));
  EXPECT_EQ(device_.info().private_memory, 0);
  EXPECT_EQ(device_.make_private(PEERMR_PRIVATE_ZAP), 0);
  EXPECT_FALSE(try_read(bar.word()));
}

TEST_F(State, ADelegatedBufferIsInTheWayOfPrivacyAndARefusedOneIsNot) {
  EXPECT_EQ(make({{0, 1}}, PEERMR_EXPORT_DELEGATE).error(), EINVAL);
  EXPECT_EQ(device_.make_private(), 0);
  device_.close();
  const Device again(bdf_);
  EXPECT_TRUE(again.export_buffer(bar_, {{0, kPage}}, PEERMR_EXPORT_DELEGATE).ok());
  EXPECT_EQ(again.make_private(), -EBUSY) << "closed or not: somebody may have it mapped";
  EXPECT_EQ(again.make_private(PEERMR_PRIVATE_ZAP), -EBUSY);
}

TEST_F(State, AMappedBufferIsZappedOnRequestOrRefused) {
  const Fd buffer = make();
  const Mapping mapping(buffer.get(), kPage);
  ASSERT_TRUE(try_read(mapping.word()));
  EXPECT_EQ(device_.make_private(), -EBUSY);
  EXPECT_TRUE(try_read(mapping.word()));
  EXPECT_EQ(device_.make_private(PEERMR_PRIVATE_ZAP), 0);
  EXPECT_FALSE(try_read(mapping.word()));
}

}  // namespace
}  // namespace exporter_test
