// SPDX-License-Identifier: BSD-2-Clause
//
// VFIO type1 and device memory: what it maps for a second device, and what of it a revoke reaches.
// The second device is an NVMe controller, which writes its identity where it is told.
#include <sys/mman.h>

#include "exporter/fixture.hpp"
#include "exporter/nvme.hpp"

namespace exporter_test {
namespace {

constexpr std::uint64_t kIova = 0x40000000;
constexpr std::uint64_t kBytes = 64 << 10;

class Type1 : public ExporterTest {
 protected:
  /// Whether the controller reaches the BAR's first bytes through the IOVA.
  bool controller_writes(std::uint64_t iova = kIova, std::uint64_t at = 0) {
    const std::uint32_t before = 0;
    EXPECT_EQ(device_.write(bar_, at, &before, 4), 4);
    EXPECT_EQ(nvme_.identify(iova), 0);
    std::uint32_t after = 0;
    EXPECT_EQ(device_.read(bar_, at, &after, 4), 4);
    return (after & 0xffff) == Nvme::kVendor;
  }

  Device second_{lab("LAB_NVME")};
  Nvme nvme_{second_};
};

TEST_F(Type1, MapsABarForAnotherDevice) {
  const Mapping bar = device_.map_bar(bar_, kBytes);
  ASSERT_EQ(second_.map_dma(bar.word(), kIova, kBytes), 0);
  EXPECT_TRUE(controller_writes());
  EXPECT_TRUE(controller_writes(kIova + 3 * kPage, 3 * kPage));
  EXPECT_EQ(second_.unmap_dma(kIova, kBytes), static_cast<std::int64_t>(kBytes));
}

TEST_F(Type1, MapsABuffersRangesForAnotherDevice) {
  const Fd buffer = make({{8 * kPage, 2 * kPage}, {0, kPage}});
  const Mapping mapping(buffer.get(), 3 * kPage);
  ASSERT_EQ(second_.map_dma(mapping.word(), kIova, 3 * kPage), 0);
  EXPECT_TRUE(controller_writes(kIova, 8 * kPage));
  EXPECT_TRUE(controller_writes(kIova + kPage, 9 * kPage));
  EXPECT_TRUE(controller_writes(kIova + 2 * kPage, 0));
}

TEST_F(Type1, KeepsWhatItPinnedThroughARevokeForGood) {
  const Fd buffer = make({{0, kBytes}});
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_EQ(second_.map_dma(mapping.word(), kIova, kBytes), 0);
  EXPECT_TRUE(controller_writes());

  ASSERT_EQ(device_.revoke(buffer.get()), 0) << "it waits for no one: type1 is no importer";
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_EQ(device_.query(buffer.get()).mappings, 0u);
  EXPECT_TRUE(controller_writes()) << "the hole: the other device still writes there";
  EXPECT_EQ(second_.unmap_dma(kIova, kBytes), static_cast<std::int64_t>(kBytes))
      << "the mapping was there all the time";
}

TEST_F(Type1, KeepsWhatItPinnedThroughARevokeOfTheDevice) {
  const Fd buffer = make({{0, kBytes}}, PEERMR_EXPORT_MANUAL_REARM);
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_EQ(second_.map_dma(mapping.word(), kIova, kBytes), 0);
  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(state(buffer), static_cast<std::uint32_t>(PEERMR_EXPORT_HELD));
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_TRUE(controller_writes()) << "not re-armed, and written all the same";
}

TEST_F(Type1, MapsNothingOfARevokedBuffer) {
  const Fd buffer = make({{0, kBytes}});
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_TRUE(try_read(mapping.word()));
  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_EQ(second_.map_dma(mapping.word(), kIova, kBytes), -EFAULT);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(second_.map_dma(mapping.word(), kIova, kBytes), 0);
  EXPECT_EQ(second_.unmap_dma(kIova, kBytes), static_cast<std::int64_t>(kBytes));
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_EQ(second_.map_dma(mapping.word(), kIova, kBytes), -EFAULT);
}

TEST_F(Type1, MapsAReadOnlyBufferForReadingOnly) {
  const Fd buffer = make({{0, kBytes}}, 0, O_RDONLY | O_CLOEXEC);
  const Mapping mapping(buffer.get(), kBytes, 0, PROT_READ);
  ASSERT_TRUE(mapping.ok());
  EXPECT_EQ(second_.map_dma(mapping.word(), kIova, kBytes), -EFAULT);
  EXPECT_EQ(second_.map_dma(mapping.word(), kIova, kBytes, false), 0);
}

TEST_F(Type1, FindsNothingToMapWhereMmapIsForbidden) {
  const Fd buffer = make({{0, kBytes}}, PEERMR_EXPORT_NO_MMAP);
  EXPECT_EQ(Mapping(buffer.get(), kBytes).error(), EPERM);
  EXPECT_EQ(Mapping(buffer.get(), kBytes, 0, PROT_READ).error(), EPERM);
  const Nic nic;
  const auto mr = nic.import(buffer.get(), kBytes);
  ASSERT_TRUE(mr) << "importers that can be revoked are as welcome as ever";
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_EQ(device_.query(buffer.get()).mappings, 0u);
}

TEST_F(Type1, IsWhyMemoryThatWasMappedCannotBecomePrivateUnasked) {
  const Fd buffer = make({{0, kBytes}});
  {
    const Mapping mapping(buffer.get(), kBytes);
    ASSERT_EQ(second_.map_dma(mapping.word(), kIova, kBytes), 0);
  }
  EXPECT_TRUE(controller_writes()) << "the mapping is gone, what was pinned out of it is not";
  EXPECT_EQ(device_.make_private(), -EBUSY);
  EXPECT_EQ(state(buffer), static_cast<std::uint32_t>(PEERMR_EXPORT_LIVE));
}

}  // namespace
}  // namespace exporter_test
