// SPDX-License-Identifier: BSD-2-Clause
//
// Private memory: every way to it is closed, and it cannot become so while one cannot be.
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "exporter/blocked.hpp"
#include "exporter/child.hpp"
#include "exporter/fixture.hpp"
#include "watch/importer.hpp"
#include "watch/support.hpp"

namespace exporter_test {
namespace {

constexpr std::uint32_t kLive = PEERMR_EXPORT_LIVE, kRevoked = PEERMR_EXPORT_REVOKED,
                        kDead = PEERMR_EXPORT_DEAD;

class Private : public testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = 64 << 10;

  Fd make(std::uint32_t bar, std::uint32_t flags = 0) const {
    Fd buffer = device_.export_buffer(bar, {{0, kBytes}}, flags);
    EXPECT_TRUE(buffer.ok()) << buffer.error();
    return buffer;
  }
  std::uint32_t state(const Fd& buffer) const { return device_.query(buffer.get()).state; }
  bool is_private() const { return device_.info().private_memory != 0; }
  std::uint32_t mapped(const Fd& buffer, const test_importer_attach& how = {}) {
    const auto id = session_.attach(buffer.get(), nic_, how);
    if (!id || session_.map(*id) != 0) watch_test::give_up("the test importer does not map");
    return *id;
  }
  // An ioeventfd on the BAR's first word; `event` -1 takes it away.
  int ioeventfd(int event) const {
    vfio_device_ioeventfd request{};
    request.argsz = sizeof(request);
    request.flags = VFIO_DEVICE_IOEVENTFD_32;
    request.offset = device_.region_offset(bar_);
    request.data = 5;
    request.fd = event;
    return ::ioctl(device_.fd(), VFIO_DEVICE_IOEVENTFD, &request) < 0 ? -errno : 0;
  }

  const std::string bdf_ = lab("LAB_MEM0");
  const std::uint32_t bar_ = static_cast<std::uint32_t>(lab_number("LAB_MEM_BAR"));
  const std::uint32_t bar2_ = static_cast<std::uint32_t>(lab_number("LAB_MEM_BAR2"));
  const peermr::Bdf nic_ = watch_test::lab_bdf("LAB_NIC0");
  Device device_{bdf_};
  watch_test::ImporterSession session_;
};

TEST_F(Private, NoRegionButConfigurationSpaceIsReadWrittenOrMapped) {
  std::uint32_t word = 0;
  ASSERT_EQ(device_.read(bar_, 0, &word, 4), 4);
  ASSERT_EQ(device_.read(0, 0, &word, 4), 4) << "registers";
  ASSERT_EQ(device_.make_private(), 0);
  for (std::uint32_t region = 0; region < VFIO_PCI_NUM_REGIONS; ++region) {
    if (region == VFIO_PCI_CONFIG_REGION_INDEX) continue;
    const auto offset = static_cast<off_t>(static_cast<std::uint64_t>(region) << 40);
    EXPECT_EQ(::pread(device_.fd(), &word, 4, offset), -1) << region;
    EXPECT_EQ(errno, EPERM) << region;
    EXPECT_EQ(::pwrite(device_.fd(), &word, 4, offset), -1) << region;
    EXPECT_EQ(errno, EPERM) << region;
    EXPECT_EQ(Mapping(device_.fd(), kPage, offset).error(), EPERM) << region;
    EXPECT_EQ(Mapping(device_.fd(), kPage, offset, PROT_READ).error(), EPERM) << region;
  }
  EXPECT_EQ(device_.read(VFIO_PCI_CONFIG_REGION_INDEX, 0, &word, 4), 4);
  std::uint16_t command = 0;
  ASSERT_EQ(device_.read(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2), 2);
  EXPECT_EQ(device_.write(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2), 2);
}

TEST_F(Private, MappingsFromBeforeAreGoneInEveryProcess) {
  const Fd buffer = make(bar_), second = make(bar2_);
  const Mapping mapping(buffer.get(), kBytes), second_mapping(second.get(), kBytes);
  const Mapping bar = device_.map_bar(bar_, kBytes), second_bar = device_.map_bar(bar2_, kBytes);
  const Mapping registers = device_.map_bar(0, kPage);
  const Child child;
  std::vector<const Mapping*> all{&mapping, &second_mapping, &bar, &second_bar, &registers};
  for (const Mapping* one : all) {
    ASSERT_TRUE(one->ok()) << one->error();
    ASSERT_TRUE(try_read(one->word()));
    ASSERT_TRUE(child.read(one->word()));
  }
  EXPECT_EQ(device_.make_private(), -EBUSY);
  for (const Mapping* one : all) EXPECT_TRUE(try_read(one->word())) << "as if never asked";

  ASSERT_EQ(device_.make_private(PEERMR_PRIVATE_ZAP), 0);
  for (const Mapping* one : all) {
    EXPECT_FALSE(try_read(one->word()));
    EXPECT_FALSE(try_write(one->word(), 1));
    EXPECT_FALSE(child.read(one->word()));
  }
  EXPECT_EQ(Mapping(buffer.get(), kPage).error(), EPERM);
  EXPECT_EQ(child.map(buffer.get(), kPage).second, EPERM);
}

TEST_F(Private, AnIoeventfdStandsInTheWayAndIsNotMadeAfterwards) {
  const Fd event(::eventfd(0, EFD_CLOEXEC));
  ASSERT_EQ(ioeventfd(event.get()), 0);
  EXPECT_EQ(device_.make_private(), -EBUSY);
  EXPECT_EQ(device_.make_private(PEERMR_PRIVATE_ZAP), -EBUSY);
  EXPECT_FALSE(is_private());
  ASSERT_EQ(ioeventfd(-1), 0);
  EXPECT_EQ(device_.make_private(), 0);
  EXPECT_EQ(ioeventfd(event.get()), -EPERM);
}

TEST_F(Private, ImportersLoseTheirMappingsAndGetNoOthers) {
  const Fd buffer = make(bar_, PEERMR_EXPORT_NO_MMAP);
  const std::uint32_t id = mapped(buffer);
  const Nic nic;
  auto mr = nic.import(buffer.get(), kBytes);
  ASSERT_TRUE(mr);
  EXPECT_EQ(device_.query(buffer.get()).mappings, 2u);

  ASSERT_EQ(device_.make_private(), 0);
  const auto query = device_.query(buffer.get());
  EXPECT_EQ(query.state, kRevoked);
  EXPECT_EQ(query.private_memory, 1);
  EXPECT_EQ(query.mappings, 0u);
  EXPECT_EQ(query.mapped, 2u);
  EXPECT_EQ(query.revokes, 1u);
  EXPECT_EQ(query.invalidates, 1u);
  EXPECT_EQ(session_.query(id).callbacks, 1u);
  EXPECT_EQ(session_.query(id).unmapped, 1u);
  EXPECT_EQ(device_.info().why, static_cast<std::uint32_t>(PEERMR_WHY_PRIVATE));

  EXPECT_EQ(session_.map(id), EPERM);
  const auto later = session_.attach(buffer.get(), nic_);
  ASSERT_TRUE(later) << errno;
  EXPECT_EQ(session_.map(*later), EPERM);
  EXPECT_FALSE(nic.import(buffer.get(), kBytes));
  EXPECT_EQ(errno, EPERM);
}

TEST_F(Private, NothingBringsTheMemoryBackButAClose) {
  const Fd buffer = make(bar_, PEERMR_EXPORT_NO_MMAP);
  const Fd manual = make(bar_, PEERMR_EXPORT_NO_MMAP | PEERMR_EXPORT_MANUAL_REARM);
  ASSERT_EQ(device_.make_private(), 0);
  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  ASSERT_EQ(device_.reset(), 0);
  EXPECT_EQ(state(buffer), kRevoked);
  EXPECT_EQ(device_.rearm(manual.get(), device_.query(manual.get()).revokes), -EAGAIN);
  EXPECT_EQ(session_.map(session_.attach(buffer.get(), nic_).value_or(0)), EPERM);
  EXPECT_EQ(device_.query(buffer.get()).invalidates, 1u) << "importers hear nothing of it";
  std::uint32_t word = 0;
  EXPECT_EQ(device_.read(bar_, 0, &word, 4), -EPERM);
  EXPECT_EQ(device_.revoke(buffer.get()), 0) << "for good, why not";
  EXPECT_EQ(state(buffer), kDead);

  session_.close();
  device_.close();
  const Device again(bdf_);
  EXPECT_EQ(again.info().private_memory, 0);
  EXPECT_EQ(again.read(bar_, 0, &word, 4), 4);
  EXPECT_EQ(again.query(manual.get()).state, kDead) << "buffers do not come back";
}

TEST_F(Private, BuffersThatCannotBeMappedAreStillMade) {
  ASSERT_EQ(device_.make_private(), 0);
  EXPECT_EQ(device_.export_buffer(bar_, {{0, kBytes}}).error(), EPERM);
  EXPECT_EQ(device_.export_dma_buf(bar_, {{0, kBytes}}, O_RDWR).error(), EPERM);
  EXPECT_EQ(device_.export_buffer(bar_, {{0, kBytes}}, PEERMR_EXPORT_DELEGATE).error(), EPERM);
  const Fd born = make(bar_, PEERMR_EXPORT_NO_MMAP);
  EXPECT_EQ(state(born), kRevoked);
  EXPECT_EQ(Mapping(born.get(), kPage).error(), EPERM);
}

TEST_F(Private, ASignalEndsTheWaitForAnImporterAndAllIsAsBefore) {
  const Fd buffer = make(bar_);
  const Mapping mapping(buffer.get(), kPage), bar = device_.map_bar(bar_, kPage);
  ASSERT_TRUE(try_read(mapping.word()));
  test_importer_attach never{};
  never.unmap = TEST_IMPORTER_UNMAP_NEVER;
  const std::uint32_t id = mapped(buffer, never);
  Blocked call([this] { return device_.make_private(PEERMR_PRIVATE_ZAP); });
  ASSERT_TRUE(eventually([&] { return device_.info().waiting != 0; }));
  EXPECT_EQ(session_.query(id).callbacks, 1u);
  EXPECT_TRUE(eventually([&] {
    call.interrupt();
    return call.done();
  }));
  EXPECT_EQ(call.result(), -EINTR);
  EXPECT_FALSE(is_private());
  EXPECT_EQ(device_.info().why, 0u);
  EXPECT_EQ(state(buffer), kLive);
  EXPECT_TRUE(try_read(mapping.word()));
  EXPECT_TRUE(try_read(bar.word()));
  std::uint32_t word = 0;
  EXPECT_EQ(device_.read(bar_, 0, &word, 4), 4);
  ASSERT_EQ(session_.unmap(id), 0);
  EXPECT_EQ(session_.map(id), 0);
  ASSERT_EQ(session_.unmap(id), 0);
  EXPECT_EQ(device_.make_private(PEERMR_PRIVATE_ZAP), 0);
}

TEST_F(Private, AnImporterThatMapsAsSoonAsItIsToldThatAllIsAsBeforeIsNotRefused) {
  // Many buffers: from the first one's restore to the last one's takes a while.
  std::vector<Fd> buffers;
  for (int i = 0; i < 256; ++i) buffers.push_back(make(bar_, PEERMR_EXPORT_NO_MMAP));
  const std::uint32_t eager = mapped(buffers.front());
  test_importer_attach never{};
  never.unmap = TEST_IMPORTER_UNMAP_NEVER;
  mapped(buffers.back(), never);
  Blocked call([this] { return device_.make_private(); });
  ASSERT_TRUE(eventually([&] { return device_.info().waiting != 0; }));
  Blocked map([&] {
    while (session_.query(eager).callbacks < 2) {
    }
    return session_.map(eager);
  });
  EXPECT_TRUE(eventually([&] {
    call.interrupt();
    return call.done();
  }));
  EXPECT_EQ(call.result(), -EINTR);
  EXPECT_EQ(map.result(), 0);
}

TEST_F(Private, RefusesUnknownFlagsAndStructures) {
  EXPECT_EQ(device_.make_private(1u << 1), -EINVAL);
  EXPECT_EQ(device_.make_private(1u << 31), -EINVAL);
  peermr_export_private data{.size = 4, .flags = 0};
  EXPECT_EQ(device_.feature(PEERMR_VFIO_FEATURE_PRIVATE, VFIO_DEVICE_FEATURE_SET, &data,
                            sizeof(data)),
            -EINVAL);
  EXPECT_FALSE(is_private());
}

}  // namespace
}  // namespace exporter_test
