// SPDX-License-Identifier: BSD-2-Clause
//
// iommufd and device memory: what it maps for a second device, and what a revoke leaves of it. With
// LAB_DRIVER, the driver that has the memory; the kernel's own exporter makes the buffers either
// way.
#include "exporter/iommufd.hpp"

#include <linux/vfio.h>
#include <peermr/vfio_dmabuf.h>

#include <fstream>
#include <optional>

#include "exporter/fixture.hpp"
#include "exporter/nvme.hpp"

namespace exporter_test {
namespace {

constexpr std::uint64_t kIova = 0x40000000;
constexpr std::uint64_t kBytes = 64 << 10;
constexpr auto kWhole = static_cast<std::int64_t>(kBytes);

class Delegated : public testing::Test {
 protected:
  Fd make(const std::vector<Range>& ranges) const {
    const std::uint32_t flags = O_RDWR | O_CLOEXEC;
    return ours_ ? device_->export_buffer(bar_, ranges, PEERMR_EXPORT_DELEGATE)
                 : device_->export_dma_buf(bar_, ranges, flags);
  }

  /// Whether what the controller writes arrives in the BAR. Nobody else says: QEMU's reports
  /// success whatever the IOMMU makes of it, which logs a fault.
  bool controller_reaches(std::uint64_t iova, std::uint64_t at) {
    const std::uint32_t before = 0xfefefefe;
    EXPECT_EQ(device_->write(bar_, at, &before, 4), 4);
    EXPECT_EQ(nvme_.identify(iova), 0);
    return word(at) != before;
  }
  std::uint32_t word(std::uint64_t at = 0) const {
    std::uint32_t value = 0;
    EXPECT_EQ(device_->read(bar_, at, &value, 4), 4);
    return value;
  }
  void expect_reached(std::uint64_t iova = kIova, std::uint64_t at = 0) {
    EXPECT_TRUE(controller_reaches(iova, at));
    EXPECT_EQ(word(at) & 0xffff, Nvme::kVendor);
  }
  void expect_unreachable(std::uint64_t iova = kIova, std::uint64_t at = 0) {
    EXPECT_FALSE(controller_reaches(iova, at));
  }
  /// What a revoke has left: a hole that is in the way until it is unmapped.
  void expect_mapping_gone_for_good(const Fd& buffer) {
    expect_unreachable();
    EXPECT_EQ(space_.map_file(buffer.get(), kIova, kBytes), -EEXIST);
    EXPECT_EQ(space_.unmap(kIova, kBytes), kWhole);
    expect_unreachable();
    ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
    expect_reached();
  }

  const std::string bdf_ = lab("LAB_IVSHMEM");
  const std::uint32_t bar_ = static_cast<std::uint32_t>(lab_number("LAB_IVSHMEM_BAR"));
  const bool ours_ = lab("LAB_DRIVER") == "peermr_vfio";
  Iommufd space_;
  std::optional<Device> device_{std::in_place, bdf_, space_};
  Device second_{lab("LAB_NVME"), space_};
  Nvme nvme_{second_};
};

TEST_F(Delegated, IsMappedForAnotherDevice) {
  const Fd buffer = make({{0, kBytes}});
  ASSERT_TRUE(buffer.ok());
  expect_unreachable();
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
  expect_reached();
  expect_reached(kIova + 3 * kPage, 3 * kPage);
  EXPECT_EQ(space_.unmap(kIova, kBytes), kWhole);
  expect_unreachable();
}

TEST_F(Delegated, IsMappedInParts) {
  const Fd buffer = make({{8 * kPage, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, 2 * kPage, 4 * kPage), 0);
  expect_reached(kIova + kPage, 13 * kPage);
  expect_unreachable(kIova + 2 * kPage, 14 * kPage);
  EXPECT_EQ(space_.map_file(buffer.get(), 2 * kIova, kBytes, kPage), -EINVAL) << "past its end";
}

TEST_F(Delegated, StaysMappedWhenItsDescriptorIsClosed) {
  Fd buffer = make({{0, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
  buffer.reset();
  expect_reached();
  ASSERT_EQ(device_->reset(), 0);
  expect_unreachable();
}

TEST_F(Delegated, IsMappedForReadingOnly) {
  const Fd buffer = make({{0, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes, 0, false), 0);
  expect_unreachable();
}

TEST_F(Delegated, HasOneRangeOnly) {
  for (const auto& ranges : std::vector<std::vector<Range>>{{{0, kPage}, {8 * kPage, kPage}},
                                                            {{0, kPage}, {kPage, kPage}}}) {
    const Fd buffer = make(ranges);
    ASSERT_TRUE(buffer.ok()) << "it can be made";
    EXPECT_EQ(space_.map_file(buffer.get(), kIova, 2 * kPage), -EOPNOTSUPP);
    EXPECT_EQ(space_.map_file(buffer.get(), kIova, kPage), -EOPNOTSUPP);
  }
}

TEST_F(Delegated, IsGoneForGoodAfterAReset) {
  const Fd buffer = make({{0, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
  expect_reached();
  ASSERT_EQ(device_->reset(), 0);
  expect_mapping_gone_for_good(buffer);
}

TEST_F(Delegated, IsGoneForGoodAfterDecodeWasOff) {
  const Fd buffer = make({{0, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
  expect_reached();
  const std::uint32_t mark = 0x12345678;
  ASSERT_EQ(device_->write(bar_, 0, &mark, 4), 4);
  ASSERT_EQ(device_->set_decode(false), 0);
  EXPECT_EQ(nvme_.identify(kIova), 0);
  EXPECT_EQ(space_.map_file(buffer.get(), 2 * kIova, kBytes), -ENODEV);
  ASSERT_EQ(device_->set_decode(true), 0);
  EXPECT_EQ(nvme_.identify(kIova), 0);
  EXPECT_EQ(word(), mark);
  expect_mapping_gone_for_good(buffer);
}

TEST_F(Delegated, IsGoneForGoodWhenItsDeviceIsClosed) {
  const Fd buffer = make({{0, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
  expect_reached();
  const std::uint32_t mark = 0x12345678;
  ASSERT_EQ(device_->write(bar_, 0, &mark, 4), 4);
  device_.reset();
  EXPECT_EQ(nvme_.identify(kIova), 0);
  device_.emplace(bdf_, space_);
  EXPECT_EQ(nvme_.identify(kIova), 0);
  EXPECT_EQ(word(), mark) << "the device's next user is no concern of the old mapping";
  EXPECT_EQ(space_.unmap(kIova, kBytes), kWhole);
  EXPECT_EQ(space_.map_file(buffer.get(), kIova, kBytes), -ENODEV);
}

// The kernel's exporter does not notice, and so iommufd does not: the promises are its own.
TEST_F(Delegated, StaysMappedThroughAResetBySysfs) {
  const Fd buffer = make({{0, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
  std::ofstream("/sys/bus/pci/devices/" + bdf_ + "/reset") << "1" << std::flush;
  expect_reached();
}

TEST_F(Delegated, IsTheOnlyWay) {
  const Mapping bar = device_->map_bar(bar_, kBytes);
  ASSERT_TRUE(try_write(bar.word(), 1));
  EXPECT_EQ(space_.map(bar.word(), kIova, kBytes), -EFAULT) << "type1 takes it";
  EXPECT_EQ(space_.map(bar.word(), kIova, kBytes, false), -EFAULT);
}

// Buffers of peermr_vfio itself.
class Own : public Delegated {};

TEST_F(Own, BuffersAreRefused) {
  const Fd buffer = device_->export_buffer(bar_, {{0, kBytes}});
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(space_.map_file(buffer.get(), kIova, kBytes), -EOPNOTSUPP);
  const Fd by_feature = device_->export_dma_buf(bar_, {{0, kBytes}}, O_RDWR | O_CLOEXEC);
  ASSERT_TRUE(by_feature.ok());
  EXPECT_EQ(space_.map_file(by_feature.get(), kIova, kBytes), -EOPNOTSUPP);
  EXPECT_EQ(device_->query(buffer.get()).mapped, 0u);
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_TRUE(try_write(mapping.word(), 1));
  EXPECT_EQ(space_.map(mapping.word(), kIova, kBytes), -EFAULT);
  ASSERT_EQ(device_->revoke(buffer.get()), 0) << "what was refused holds nothing up";
}

TEST_F(Own, BuffersAndDelegatedOnesOfTheSameMemoryAreRevokedTogether) {
  const Fd own = device_->export_buffer(bar_, {{0, kBytes}});
  const Fd buffer = make({{0, kBytes}});
  ASSERT_EQ(space_.map_file(buffer.get(), kIova, kBytes), 0);
  ASSERT_EQ(device_->reset(), 0);
  EXPECT_EQ(device_->query(own.get()).revokes, 1u);
  EXPECT_EQ(device_->query(own.get()).state, static_cast<std::uint32_t>(PEERMR_EXPORT_LIVE));
  expect_mapping_gone_for_good(buffer);
  EXPECT_EQ(device_->revoke(buffer.get()), -EINVAL) << "it is not ours to revoke";
  expect_reached();
}

}  // namespace
}  // namespace exporter_test
