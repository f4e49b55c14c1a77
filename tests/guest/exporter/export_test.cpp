// SPDX-License-Identifier: BSD-2-Clause
//
// What can be exported, and what is refused.
#include <linux/vfio.h>
#include <sys/stat.h>

#include <array>

#include "exporter/fixture.hpp"

namespace exporter_test {
namespace {

class Export : public ExporterTest {
 protected:
  const std::uint64_t bar_bytes_ = device_.region_bytes(bar_);

  int error_of(const std::vector<Range>& ranges, std::uint32_t flags = 0) const {
    return make(ranges, flags).error();
  }
};

TEST_F(Export, OffersEachFeatureAndSaysSo) {
  for (std::uint32_t feature : {PEERMR_VFIO_FEATURE_EXPORT, PEERMR_VFIO_FEATURE_REVOKE,
                                PEERMR_VFIO_FEATURE_REARM, PEERMR_VFIO_FEATURE_QUERY,
                                PEERMR_VFIO_FEATURE_INFO, PEERMR_VFIO_FEATURE_PRIVATE, 11})
    EXPECT_TRUE(device_.has_feature(feature)) << feature;
  EXPECT_FALSE(device_.has_feature(0xfe06));
}

TEST_F(Export, GivesABufferOfTheRangesSize) {
  const Fd buffer = make({{0, 3 * kPage}, {bar_bytes_ - kPage, kPage}});
  ASSERT_TRUE(buffer.ok()) << buffer.error();
  EXPECT_EQ(::lseek(buffer.get(), 0, SEEK_END), static_cast<off_t>(4 * kPage));
  const auto query = device_.query(buffer.get());
  EXPECT_EQ(query.bytes, 4 * kPage);
  EXPECT_EQ(query.nr_ranges, 2u);
  EXPECT_EQ(query.bar, bar_);
  EXPECT_EQ(query.state, static_cast<std::uint32_t>(PEERMR_EXPORT_LIVE));
  EXPECT_EQ(query.revokes, 0u);
}

TEST_F(Export, TakesTheWholeBar) {
  EXPECT_TRUE(make({{0, bar_bytes_}}).ok());
}

TEST_F(Export, JoinsRangesThatFollowOneAnother) {
  const Fd buffer = make({{0, kPage}, {kPage, kPage}, {3 * kPage, kPage}, {2 * kPage, kPage}});
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(device_.query(buffer.get()).nr_ranges, 3u);
}

TEST_F(Export, RefusesRangesThatAreEmptyUnalignedOrPastTheBar) {
  EXPECT_EQ(error_of({{0, 0}}), EINVAL);
  EXPECT_EQ(error_of({{0, 100}}), EINVAL);
  EXPECT_EQ(error_of({{100, kPage}}), EINVAL);
  EXPECT_EQ(error_of({{bar_bytes_, kPage}}), EINVAL);
  EXPECT_EQ(error_of({{0, bar_bytes_ + kPage}}), EINVAL);
  EXPECT_EQ(error_of({{0, kPage}, {bar_bytes_, kPage}}), EINVAL);
  EXPECT_EQ(error_of({{1ull << 63, kPage}}), EINVAL);
}

TEST_F(Export, RefusesSumsThatWrap) {
  EXPECT_EQ(error_of({{~0ull - kPage + 1, kPage}}), EOVERFLOW);
  EXPECT_EQ(error_of({{kPage, ~0ull - kPage + 1}}), EOVERFLOW);
}

TEST_F(Export, RefusesNoRangesAndTooMany) {
  EXPECT_EQ(error_of({}), EINVAL);
  std::vector<Range> many(PEERMR_EXPORT_MAX_RANGES, Range{0, kPage});
  EXPECT_TRUE(make(many).ok());
  many.push_back({0, kPage});
  EXPECT_EQ(error_of(many), E2BIG);
}

TEST_F(Export, RefusesWhatIsNotAMemoryBar) {
  const std::vector<Range> page{{0, kPage}};
  EXPECT_EQ(device_.export_buffer(5, page).error(), ENODEV);
  EXPECT_EQ(device_.export_buffer(6, page).error(), ENODEV) << "ROM";
  EXPECT_EQ(device_.export_buffer(7, page).error(), ENODEV) << "configuration space";
  EXPECT_EQ(device_.export_buffer(~0u, page).error(), ENODEV);
  EXPECT_EQ(device_.export_buffer(0, page).error(), EINVAL) << "a BAR smaller than a page";
}

TEST_F(Export, RefusesUnknownFlagsAndStructuresOfAnotherForm) {
  EXPECT_EQ(error_of({{0, kPage}}, 1u << 31), EINVAL);
  for (std::uint32_t flags : {O_WRONLY, O_RDWR | O_APPEND, O_RDWR | O_TRUNC, O_ACCMODE})
    EXPECT_EQ(make({{0, kPage}}, 0, static_cast<int>(flags)).error(), EINVAL) << flags;

  const Range range{0, kPage};
  peermr_export_create create{};
  create.size = sizeof(create);
  create.bar = bar_;
  create.open_flags = O_RDWR;
  create.nr_ranges = 1;
  create.ranges = reinterpret_cast<std::uintptr_t>(&range);
  ASSERT_TRUE(device_.export_buffer(create).ok());
  auto changed = create;
  changed.reserved = 1;
  EXPECT_EQ(device_.export_buffer(changed).error(), EINVAL);
  changed = create;
  changed.size = sizeof(create) - 1;
  EXPECT_EQ(device_.export_buffer(changed).error(), EINVAL);
  changed.size = sizeof(create) + 1;
  EXPECT_EQ(device_.export_buffer(changed).error(), EINVAL) << "more than there is";
  changed = create;
  changed.ranges = 8;
  EXPECT_EQ(device_.export_buffer(changed).error(), EFAULT);
}

struct Longer {
  peermr_export_create create;
  std::uint64_t future;
};

TEST_F(Export, TakesLongerStructuresWhoseRestIsZero) {
  const Range range{0, kPage};
  Longer longer{};
  longer.create.size = sizeof(longer);
  longer.create.bar = bar_;
  longer.create.open_flags = O_RDWR;
  longer.create.nr_ranges = 1;
  longer.create.ranges = reinterpret_cast<std::uintptr_t>(&range);
  EXPECT_TRUE(Fd(device_.feature(PEERMR_VFIO_FEATURE_EXPORT, VFIO_DEVICE_FEATURE_GET, &longer,
                                 sizeof(longer)))
                  .ok());
  longer.future = 1;
  EXPECT_EQ(device_.feature(PEERMR_VFIO_FEATURE_EXPORT, VFIO_DEVICE_FEATURE_GET, &longer,
                            sizeof(longer)),
            -E2BIG);
}

TEST_F(Export, HonoursCloseOnExec) {
  const Fd with = make(0, O_RDWR | O_CLOEXEC);
  const Fd without = make(0, O_RDWR);
  EXPECT_EQ(::fcntl(with.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(without.get(), F_GETFD), 0);
}

TEST_F(Export, Feature11IsMainlines) {
  const Fd buffer = device_.export_dma_buf(bar_, {{0, kPage}, {kPage, kPage}}, O_RDWR | O_CLOEXEC);
  ASSERT_TRUE(buffer.ok()) << buffer.error();
  EXPECT_EQ(::lseek(buffer.get(), 0, SEEK_END), static_cast<off_t>(2 * kPage));
  EXPECT_EQ(device_.query(buffer.get()).nr_ranges, 1u) << "it is our exporter's";

  EXPECT_EQ(device_.export_dma_buf(bar_, {}, O_RDWR).error(), EINVAL);
  EXPECT_EQ(device_.export_dma_buf(bar_, {{0, kPage}}, O_RDWR, 1).error(), EINVAL);
  EXPECT_EQ(device_.export_dma_buf(6, {{0, kPage}}, O_RDWR).error(), ENODEV);
  EXPECT_EQ(device_.export_dma_buf(bar_, {{0, 1}}, O_RDWR).error(), EINVAL);
  EXPECT_EQ(device_.export_dma_buf(bar_, {{bar_bytes_, kPage}}, O_RDWR).error(), EINVAL);
  EXPECT_EQ(device_.export_dma_buf(bar_, {{~0ull - kPage + 1, kPage}}, O_RDWR).error(),
            EOVERFLOW);
}

TEST_F(Export, DelegatesToMainlinesExporterOnRequest) {
  const Fd buffer = make({{0, kPage}}, PEERMR_EXPORT_DELEGATE);
  ASSERT_TRUE(buffer.ok()) << buffer.error();
  EXPECT_EQ(::lseek(buffer.get(), 0, SEEK_END), static_cast<off_t>(kPage));
  EXPECT_EQ(state(buffer), ~0u) << "it is not ours";
  EXPECT_EQ(device_.revoke(buffer.get()), -EINVAL);
  EXPECT_EQ(make({{0, kPage}}, PEERMR_EXPORT_DELEGATE | PEERMR_EXPORT_NO_MMAP).error(), EINVAL);
  EXPECT_EQ(make({{0, 1}}, PEERMR_EXPORT_DELEGATE).error(), EINVAL);
  EXPECT_EQ(device_.make_private(PEERMR_PRIVATE_ZAP), -EBUSY);
}

TEST_F(Export, BuffersMadeWhileDecodeIsOffAreBornRevoked) {
  ASSERT_EQ(device_.set_decode(false), 0);
  const Fd buffer = make();
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(state(buffer), static_cast<std::uint32_t>(PEERMR_EXPORT_REVOKED));
  EXPECT_EQ(revokes(buffer), 1u);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(state(buffer), static_cast<std::uint32_t>(PEERMR_EXPORT_LIVE));
}

TEST_F(Export, BuffersOfAnotherDeviceAreNotOurs) {
  Device other(lab("LAB_NVME"));
  const Fd buffer =
      other.export_buffer(static_cast<std::uint32_t>(lab_number("LAB_PMR_BAR")), {{0, kPage}});
  ASSERT_TRUE(buffer.ok()) << buffer.error();
  EXPECT_EQ(device_.revoke(buffer.get()), -EINVAL);
  EXPECT_EQ(device_.rearm(buffer.get(), 0), -EINVAL);
  EXPECT_EQ(device_.revoke(device_.fd()), -EINVAL) << "not a dma-buf";
  EXPECT_EQ(device_.revoke(-1), -EBADF);
}

TEST_F(Export, ABufferOutlivesItsDeviceAndIsDead) {
  Fd buffer = make();
  Mapping mapping(buffer.get(), kPage);
  ASSERT_TRUE(try_read(mapping.word()));
  device_.close();
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_EQ(Mapping(buffer.get(), kPage).error(), ENODEV);

  Device again(bdf_);
  EXPECT_EQ(again.query(buffer.get()).state, static_cast<std::uint32_t>(PEERMR_EXPORT_DEAD));
  EXPECT_EQ(again.revoke(buffer.get()), -EBADFD);
  EXPECT_EQ(again.info().buffers, 1u);
  mapping.reset();
  buffer.reset();
  EXPECT_EQ(again.info().buffers, 0u);
}

}  // namespace
}  // namespace exporter_test
