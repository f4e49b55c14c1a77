// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/exporter.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/read_section.hpp"
#include "vfio/dma_buf_state.hpp"
#include "vfio/fake_device.hpp"

namespace peermr::vfio {
namespace {

using detail::MemoryEvents;
using test::ExportCall;
using test::FakeExporter;
using test::kPage;
using test::open_device;
using test::use;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ExporterFeatures, AreFoundByAsking) {
  FakeExporter none;
  EXPECT_EQ(open_device(none).exporter_features(), ExporterFeatures());
  auto mainline = FakeExporter::mainline();
  EXPECT_EQ(open_device(mainline).exporter_features(),
            (ExporterFeatures{.kind = ExporterKind::kMainline, .delegate = true}));
  auto ours = FakeExporter::peermr();
  const auto features = open_device(ours).exporter_features();
  EXPECT_EQ(features.kind, ExporterKind::kPeermrVfio);
  EXPECT_TRUE(features.mappable && features.manual_rearm && features.delegate && features.revoke &&
              features.query && features.info && features.make_private);
  EXPECT_FALSE(features.write_combine) << "no BAR is mapped so";
  EXPECT_TRUE(ours.made.empty()) << "asking must not do";
}

TEST(ExporterFeatures, LackWhatTheDriverLacks) {
  auto exporter = FakeExporter::peermr();
  exporter.kind = ExporterKind::kPeermrBar;
  exporter.calls.erase(ExportCall::kMainline);
  exporter.calls.erase(ExportCall::kPrivate);
  exporter.info.flags = PEERMR_EXPORT_NO_MMAP | PEERMR_EXPORT_WRITE_COMBINE;
  exporter.info.combining_bars = 1 << 2;
  const auto features = open_device(exporter).exporter_features();
  EXPECT_EQ(features.kind, ExporterKind::kPeermrBar);
  EXPECT_FALSE(features.make_private || features.delegate || features.manual_rearm);
  EXPECT_TRUE(features.write_combine);
}

TEST(Export, ForbidsMmapUnlessAskedFor) {
  auto exporter = FakeExporter::peermr();
  const Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage, {.read_only = true});
  ASSERT_TRUE(buffer) << buffer.error().message();
  EXPECT_EQ(exporter.created.flags, PEERMR_EXPORT_NO_MMAP);
  EXPECT_EQ(exporter.created.open_flags, static_cast<unsigned>(O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(exporter.created.bar, 2u);
  ASSERT_EQ(exporter.ranges.size(), 1u);
  EXPECT_EQ(exporter.ranges[0].offset, 4096u);
}

TEST(Export, PassesOptionsOn) {
  auto exporter = FakeExporter::peermr();
  exporter.info.combining_bars = 1 << 2;
  const Device device = open_device(exporter);
  ASSERT_TRUE(device.export_dma_buf(
      BarIndex(2), kPage, {.mappable = true, .manual_rearm = true, .write_combine = true}));
  EXPECT_EQ(exporter.created.flags, PEERMR_EXPORT_MANUAL_REARM | PEERMR_EXPORT_WRITE_COMBINE);
}

TEST(Export, DelegatedIsTheKernelsWhicheverDriverThereIs) {
  auto ours = FakeExporter::peermr();
  ASSERT_TRUE(open_device(ours).export_dma_buf(BarIndex(2), kPage, {.delegate = true}));
  EXPECT_EQ(ours.created.flags, PEERMR_EXPORT_DELEGATE);
  auto mainline = FakeExporter::mainline();
  ASSERT_TRUE(open_device(mainline).export_dma_buf(BarIndex(2), kPage, {.delegate = true}));
  EXPECT_THAT(mainline.made, ElementsAre(ExportCall::kMainline));
}

TEST(Export, SaysHowToGetWhatMainlineLacks) {
  for (const ExportOptions& options :
       {ExportOptions{.mappable = true}, ExportOptions{.manual_rearm = true}}) {
    auto exporter = FakeExporter::mainline();
    const auto refused = open_device(exporter).export_dma_buf(BarIndex(2), kPage, options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::kNotOffered);
    EXPECT_EQ(refused.error().code(), std::errc::operation_not_supported);
    EXPECT_THAT(refused.error().message(),
                AllOf(HasSubstr("0000:04:00.0 BAR 2"),
                      HasSubstr("bind 0000:04:00.0 to peermr_vfio: as root: modprobe peermr_vfio"),
                      HasSubstr("driver_override")));
    EXPECT_TRUE(exporter.made.empty());
  }
}

TEST(Export, WithoutIommuPeermrBarIsTheRemedy) {
  auto exporter = FakeExporter::mainline();
  const auto refused =
      open_device(exporter, false).export_dma_buf(BarIndex(2), kPage, {.manual_rearm = true});
  EXPECT_THAT(refused.error().message(), HasSubstr("modprobe peermr_bar"));
}

TEST(Export, WriteCombiningNeedsABarThatIsMappedSo) {
  auto exporter = FakeExporter::peermr();
  const ExportOptions options{.mappable = true, .write_combine = true};
  const auto none = open_device(exporter).export_dma_buf(BarIndex(2), kPage, options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::kNotOffered);
  EXPECT_THAT(none.error().message(), HasSubstr("peermr_wc_bars"));
  exporter.info.combining_bars = 1 << 4;
  exporter.failures[ExportCall::kExport] = EOPNOTSUPP;
  const auto other_bar = open_device(exporter).export_dma_buf(BarIndex(2), kPage, options);
  EXPECT_EQ(other_bar.error().code(), Errc::kNotOffered);
  EXPECT_THAT(other_bar.error().message(), HasSubstr("peermr_wc_bars"));
}

TEST(Export, OptionsThatContradictAreRefused) {
  auto exporter = FakeExporter::peermr();
  exporter.info.combining_bars = 1 << 2;
  const Device device = open_device(exporter);
  for (const ExportOptions& options : {ExportOptions{.mappable = true, .delegate = true},
                                       ExportOptions{.manual_rearm = true, .delegate = true},
                                       ExportOptions{.write_combine = true}}) {
    const auto refused = device.export_dma_buf(BarIndex(2), kPage, options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::invalid_argument);
  }
}

TEST(Export, TooManyRangesAreRefusedHere) {
  auto exporter = FakeExporter::peermr();
  const Device device = open_device(exporter);
  std::vector<BarRange> ranges(PEERMR_EXPORT_MAX_RANGES, kPage);
  EXPECT_TRUE(device.export_dma_buf(BarIndex(2), ranges));
  ranges.push_back(kPage);
  const auto refused = device.export_dma_buf(BarIndex(2), ranges);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("at most 4096"));
}

TEST(MainlineExporter, HasNoneOfTheCalls) {
  auto exporter = FakeExporter::mainline();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage).value();
  const auto user = use(buffer);
  for (const Error& error : {device.query(buffer).error(), device.revoke(buffer).error(),
                             device.rearm(buffer, 0).error(), device.exporter_info().error(),
                             device.make_private().error()}) {
    EXPECT_EQ(error.code(), Errc::kNotOffered);
    EXPECT_THAT(error.message(), HasSubstr("bind 0000:04:00.0 to peermr_vfio"));
  }
  EXPECT_EQ(user->calls, "") << "nothing happened, so nobody is told";
}

TEST(Query, TellsStateAndCounters) {
  auto exporter = FakeExporter::peermr();
  exporter.query.state = PEERMR_EXPORT_HELD;
  exporter.query.flags = PEERMR_EXPORT_NO_MMAP | PEERMR_EXPORT_MANUAL_REARM;
  exporter.query.revokes = 3;
  exporter.query.waiting = 1;
  const Device device = open_device(exporter);
  const auto status = device.query(device.export_dma_buf(BarIndex(2), kPage).value()).value();
  EXPECT_EQ(status.state, BufferState::kHeld);
  EXPECT_TRUE(status.manual_rearm && status.waiting && !status.mappable);
  EXPECT_EQ(status.revokes, 3u);
  exporter.query.state = 77;
  EXPECT_EQ(device.query(device.export_dma_buf(BarIndex(2), {0, 4096}).value()).value().state,
            BufferState::kRevoked);
}

TEST(Revoke, TakesTheBuffersRegionsAndNoOthers) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage).value();
  const auto other = device.export_dma_buf(BarIndex(2), kPage).value();
  const auto user = use(buffer);
  const auto bystander = use(other);
  ASSERT_TRUE(device.revoke(buffer));
  EXPECT_EQ(user->calls, "qg");
  EXPECT_EQ(bystander->calls, "");
  ASSERT_TRUE(device.reset());
  EXPECT_EQ(bystander->calls, "qr");
}

TEST(Revoke, OfABufferThatNobodyUsesHereWaitsForNoOtherCall) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage).value();
  const auto reset_under_way = buffer.state()->events->begin_transition();
  EXPECT_TRUE(device.revoke(buffer));
}

TEST(Revoke, OfADeadBufferSaysSo) {
  auto exporter = FakeExporter::peermr();
  exporter.failures[ExportCall::kRevoke] = EBADFD;
  Device device = open_device(exporter);
  const auto again = device.revoke(device.export_dma_buf(BarIndex(2), kPage).value());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Errc::kDead);
  EXPECT_THAT(again.error().message(), HasSubstr("revoked for good before"));
}

TEST(Revoke, ThatIsInterruptedHasKilledTheBuffer) {
  auto exporter = FakeExporter::peermr();
  exporter.failures[ExportCall::kRevoke] = EINTR;
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage).value();
  const auto user = use(buffer);
  EXPECT_EQ(device.revoke(buffer).error().code(), std::errc::interrupted);
  EXPECT_EQ(user->calls, "qg");
}

TEST(Revoke, ThatTheKernelRefusesLeavesRegionsInUse) {
  auto exporter = FakeExporter::peermr();
  exporter.failures[ExportCall::kRevoke] = EINVAL;
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage).value();
  const auto user = use(buffer);
  EXPECT_EQ(device.revoke(buffer).error().code(), std::errc::invalid_argument);
  EXPECT_EQ(user->calls, "q~");
}

TEST(LeaseHolder, ChangesNoDeviceWhoseUsersMayWaitForIt) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage, {.manual_rearm = true}).value();
  exporter.made.clear();
  // As another thread's reset would, which waits for our lease.
  const auto reset_under_way = buffer.state()->events->begin_transition();
  peermr::detail::enter_section();
  EXPECT_EQ(device.reset().error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.quiesce().error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.resume().error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.set_memory_enabled(false).error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.set_power(vfio::PowerState::kD3hot).error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.revoke(buffer).error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.rearm(buffer, 0).error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.make_private().error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(device.close().error().code(), Errc::kLeaseHeld);
  peermr::detail::leave_section();
  EXPECT_TRUE(exporter.made.empty());
}

TEST(Revoke, DoesNotHappenWhileTheThreadHoldsALease) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage).value();
  exporter.made.clear();
  const auto user = use(buffer);
  user->refuses = true;
  EXPECT_EQ(device.revoke(buffer).error().code(), Errc::kLeaseHeld);
  EXPECT_TRUE(exporter.made.empty());
}

TEST(ManualRearm, KeepsRegionsWaitingAfterAReset) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage, {.manual_rearm = true}).value();
  const auto user = use(buffer);
  const auto report = device.reset().value();
  EXPECT_EQ(report.regions, 1u);
  EXPECT_EQ(report.restored, 0u);
  EXPECT_EQ(user->calls, "q");
  exporter.query.state = PEERMR_EXPORT_HELD;
  ASSERT_TRUE(device.rearm(buffer, 5));
  EXPECT_EQ(exporter.rearmed.revokes, 5u);
  EXPECT_EQ(user->calls, "qr");
}

TEST(ManualRearm, OfALiveBufferClaimsNoLossOfMemory) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage, {.manual_rearm = true}).value();
  const auto user = use(buffer);
  exporter.query.state = PEERMR_EXPORT_LIVE;
  ASSERT_TRUE(device.rearm(buffer, 0));
  EXPECT_EQ(user->calls, "~");
}

TEST(ManualRearm, ThatIsRefusedRestoresNobody) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage, {.manual_rearm = true}).value();
  const auto user = use(buffer);
  ASSERT_TRUE(device.reset());
  exporter.failures[ExportCall::kRearm] = ESTALE;
  const auto stale = device.rearm(buffer, 1);
  EXPECT_EQ(stale.error().code(), Errc::kStale);
  EXPECT_EQ(stale.error().code().default_error_condition().value(), ESTALE);
  exporter.failures[ExportCall::kRearm] = EAGAIN;
  EXPECT_EQ(device.rearm(buffer, 1).error().code(), Errc::kRevoked);
  exporter.failures[ExportCall::kRearm] = EBADFD;
  EXPECT_EQ(device.rearm(buffer, 1).error().code(), Errc::kDead);
  EXPECT_EQ(user->calls, "q");
}

TEST(ManualRearm, WhileMemoryDecodeIsOffRestoresNobody) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto buffer = device.export_dma_buf(BarIndex(2), kPage, {.manual_rearm = true}).value();
  const auto user = use(buffer);
  ASSERT_TRUE(device.set_memory_enabled(false));
  ASSERT_TRUE(device.rearm(buffer, 1));
  EXPECT_EQ(user->calls, "q");
}

TEST(PrivateMemory, EndsAllRegionsOrNone) {
  auto exporter = FakeExporter::peermr();
  Device device = open_device(exporter);
  const auto user = use(device.export_dma_buf(BarIndex(2), kPage).value());
  exporter.failures[ExportCall::kPrivate] = EBUSY;
  EXPECT_EQ(device.make_private().error().code(), std::errc::device_or_resource_busy);
  EXPECT_EQ(user->calls, "q~");
  exporter.failures.clear();
  EXPECT_TRUE(device.make_private(PrivateMappings::kZap));
  EXPECT_EQ(user->calls, "q~qg");
}

}  // namespace
}  // namespace peermr::vfio
