// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/buffer_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vfio/fake_device.hpp"

namespace peermr::vfio {
namespace {

using test::ExportCall;
using test::FakeExporter;
using test::kPage;
using test::open_device;
using testing::SizeIs;

std::shared_ptr<const BufferSource> source_of(const Device& device,
                                              const ExportOptions& options = {}) {
  return device.export_dma_buf(BarIndex(2), kPage, options).value().state()->source;
}

TEST(BufferSource, IsThereOnlyWhereBuffersCanBeHeldAndRevokedForGood) {
  auto mainline = FakeExporter::mainline();
  EXPECT_EQ(source_of(open_device(mainline)), nullptr);
  for (const ExportCall missing : {ExportCall::kRevoke, ExportCall::kRearm, ExportCall::kQuery}) {
    auto older = FakeExporter::peermr();
    older.calls.erase(missing);
    EXPECT_EQ(source_of(open_device(older)), nullptr);
  }
  auto peermr = FakeExporter::peermr();
  const auto device = open_device(peermr);
  EXPECT_NE(source_of(device), nullptr);
  EXPECT_EQ(source_of(device, {.delegate = true}), nullptr) << "mainline made that buffer";
}

TEST(BufferSource, MakesBuffersOfTheSameMemoryThatAreHeldAfterARevoke) {
  auto exporter = FakeExporter::peermr();
  const auto device = open_device(exporter);
  const auto source = source_of(device, {.read_only = true, .mappable = true});
  exporter.created = {};
  exporter.ranges.clear();
  ASSERT_TRUE(source->make());
  EXPECT_EQ(exporter.created.bar, 2u);
  EXPECT_EQ(exporter.created.flags, PEERMR_EXPORT_NO_MMAP | PEERMR_EXPORT_MANUAL_REARM);
  EXPECT_EQ(exporter.created.open_flags & O_ACCMODE, unsigned{O_RDONLY});
  ASSERT_THAT(exporter.ranges, SizeIs(1));
  EXPECT_EQ(exporter.ranges[0].offset, kPage.offset_bytes);
  EXPECT_EQ(exporter.ranges[0].length, kPage.length_bytes);
}

TEST(BufferSource, EndingOneThatIsDeadAlreadySucceeds) {
  auto exporter = FakeExporter::peermr();
  const auto device = open_device(exporter);
  const auto source = source_of(device);
  for (const int error : {EBADFD, ENODEV}) {
    exporter.failures[ExportCall::kRevoke] = error;
    EXPECT_TRUE(source->end(3));
  }
  exporter.failures[ExportCall::kRevoke] = EINVAL;
  EXPECT_FALSE(source->end(3));
}

TEST(BufferSource, MakesNothingOnceTheDeviceIsClosed) {
  auto exporter = FakeExporter::peermr();
  auto device = open_device(exporter);
  const auto source = source_of(device);
  ASSERT_TRUE(device.close());
  exporter.made.clear();
  const auto made = source->make();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Errc::kDead);
  EXPECT_TRUE(source->end(3)) << "closing has ended it";
  EXPECT_THAT(exporter.made, testing::IsEmpty());
}

}  // namespace
}  // namespace peermr::vfio
