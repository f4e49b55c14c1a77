// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "capi/handles.hpp"
#include "peermr/peermr_cache.h"
#include "peermr/peermr_events.h"
#include "peermr/peermr_watch.h"
#include "region/fake_registrar.hpp"
#include "region/region_core.hpp"
#include "vfio/device_impl.hpp"
#include "vfio/dma_buf_state.hpp"
#include "vfio/fake_backend.hpp"

extern "C" int open_from_c(const char* bdf);

namespace peermr {
namespace {

using detail::MemoryEvents;
using detail::RegionCore;
using test::FakeDevice;
using test::FakeRegistrar;
using testing::HasSubstr;
using testing::IsEmpty;

class CapiRegion : public testing::Test {
 protected:
  CapiRegion() {
    detail::RegionConfig config;
    config.name = "memory";
    config.length_bytes = 4096;
    config.address = Iova(0x1000);
    auto core = RegionCore::create(
        std::make_unique<FakeRegistrar>(device_, verbs::ImporterClass::kRevocable), events_,
        config);
    region_ = new peermr_region{std::make_shared<Region>(core.value())};
  }
  ~CapiRegion() override { EXPECT_EQ(peermr_region_close(region_), 0); }

  FakeDevice device_;
  std::shared_ptr<MemoryEvents> events_ = std::make_shared<MemoryEvents>();
  peermr_region* region_ = nullptr;
};

TEST_F(CapiRegion, LeaseGivesTheKeysAndProtectsThem) {
  peermr_lease lease;
  ASSERT_EQ(peermr_lease_enter(region_, &lease), 0);
  EXPECT_EQ(lease.keys.rkey, 1u);
  EXPECT_EQ(lease.keys.address, 0x1000u);
  EXPECT_EQ(lease.keys.length, 4096u);
  EXPECT_EQ(peermr_region_close(region_), -EDEADLK);
  EXPECT_THAT(peermr_last_error(), HasSubstr("close memory"));
  peermr_lease_leave(&lease);
  EXPECT_FALSE(thread_holds_lease());
}

TEST_F(CapiRegion, RevokedRegionGivesNoLeaseUntilRestored) {
  ASSERT_TRUE(events_->quiesce_all());
  peermr_lease lease;
  peermr_keys keys;
  EXPECT_EQ(peermr_lease_enter(region_, &lease), -EAGAIN);
  EXPECT_EQ(peermr_region_keys(region_, &keys), -EAGAIN);
  EXPECT_EQ(peermr_region_state(region_), PEERMR_REGION_REVOKED);
  events_->restore_all();
  ASSERT_EQ(peermr_region_keys(region_, &keys), 0);
  EXPECT_EQ(keys.generation, 1u);
  EXPECT_EQ(keys.key_epoch, 1u);
  EXPECT_EQ(keys.rkey, 2u);
}

TEST_F(CapiRegion, CompletionErrorsLeadToRecovery) {
  EXPECT_EQ(peermr_region_report_completion(region_, IBV_WC_SUCCESS, 0),
            PEERMR_COMPLETION_UNRELATED);
  EXPECT_EQ(peermr_region_report_completion(region_, IBV_WC_REM_ACCESS_ERR, 0),
            PEERMR_COMPLETION_REVOKED);
  device_.memory_there = false;
  EXPECT_EQ(peermr_region_recover(region_, 1000), -EAGAIN);
  device_.memory_there = true;
  EXPECT_EQ(peermr_region_recover(region_, -1), 0);
  EXPECT_EQ(peermr_region_state(region_), PEERMR_REGION_LIVE);
  EXPECT_EQ(peermr_region_report_completion(region_, IBV_WC_REM_ACCESS_ERR, 0),
            PEERMR_COMPLETION_STALE);
}

TEST_F(CapiRegion, DeadRegionCannotBeRecovered) {
  ASSERT_TRUE(events_->quiesce_all());
  events_->gone_all();
  EXPECT_EQ(peermr_region_state(region_), PEERMR_REGION_DEAD);
  EXPECT_EQ(peermr_region_recover(region_, -1), -ENODEV);
}

TEST(CapiErrors, AreNegativeErrnoValuesWithText) {
  EXPECT_EQ(open_from_c("nonsense"), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("\"nonsense\""));
  EXPECT_EQ(open_from_c("ffff:ff:1f.7"), -ENODEV);
  EXPECT_THAT(peermr_last_error(), HasSubstr("ffff:ff:1f.7"));
  peermr_path path;
  EXPECT_EQ(peermr_predict_path("ffff:ff:1f.7", "ffff:ff:1f.6", &path), -ENODEV);
  peermr_dma_buf* buffer = nullptr;
  EXPECT_EQ(peermr_dma_buf_adopt(::open("/dev/null", O_RDONLY), nullptr, &buffer), -EINVAL);
}

TEST(CapiErrors, TextIsTheThreadsOwn) {
  EXPECT_EQ(open_from_c("nonsense"), -EINVAL);
  std::thread([] { EXPECT_STREQ(peermr_last_error(), ""); }).join();
}

TEST(CapiErrors, OptionsOfAnotherSizeOrWithUnknownFlagsAreRefused) {
  ibv_pd pd{};
  const peermr_dma_buf buffer{DmaBuf(std::make_shared<detail::DmaBufState>())};
  peermr_region* region = nullptr;
  peermr_region_options options{};
  EXPECT_EQ(peermr_region_register(&pd, &buffer, &options, &region), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("options.size"));
  options.size = sizeof(options);
  options.flags = 0x80;
  EXPECT_EQ(peermr_region_register(&pd, &buffer, &options, &region), -EINVAL);
  options.flags = 0;
  options.on_revoke = 17;
  EXPECT_EQ(peermr_region_register(&pd, &buffer, &options, &region), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("policy"));
}

class CapiExporter : public testing::Test {
 protected:
  explicit CapiExporter(test::FakeExporter exporter = test::FakeExporter::peermr())
      : exporter_(std::move(exporter)) {
    PciDevice pci;
    pci.bdf = Bdf(0, 4, 0, 0);
    pci.bars.push_back({.index = BarIndex(2), .size_bytes = 1 << 20, .memory = true});
    device_ = new peermr_device{vfio::Device(
        std::make_unique<vfio::Device::Impl>(pci, std::make_unique<test::FakeBackend>(exporter_)))};
  }
  ~CapiExporter() override {
    peermr_dma_buf_close(buffer_);
    EXPECT_EQ(peermr_device_close(device_), 0);
  }
  int export_with(unsigned int flags) {
    const peermr_range range{.offset = 0, .length = 4096};
    return peermr_device_export(device_, 2, &range, 1, flags, &buffer_);
  }

  test::FakeExporter exporter_;
  peermr_device* device_ = nullptr;
  peermr_dma_buf* buffer_ = nullptr;
};

TEST_F(CapiExporter, TellsFeaturesAndTakesThem) {
  EXPECT_EQ(peermr_device_features(device_),
            PEERMR_CAN_EXPORT | PEERMR_CAN_MMAP | PEERMR_CAN_MANUAL_REARM | PEERMR_CAN_DELEGATE |
                PEERMR_CAN_REVOKE | PEERMR_CAN_QUERY | PEERMR_CAN_BE_PRIVATE);
  EXPECT_EQ(export_with(1u << 5), -EINVAL);
  ASSERT_EQ(export_with(PEERMR_EXPORT_WITH_MMAP | PEERMR_EXPORT_WITH_MANUAL_REARM), 0);
  EXPECT_EQ(exporter_.created.flags, PEERMR_EXPORT_MANUAL_REARM);
}

TEST_F(CapiExporter, QueriesRearmsAndRevokes) {
  ASSERT_EQ(export_with(PEERMR_EXPORT_WITH_MANUAL_REARM), 0);
  peermr_buffer_status status{};
  EXPECT_EQ(peermr_device_query(device_, buffer_, &status), -EINVAL) << "its size is not set";
  status.size = sizeof(status);
  exporter_.query.state = PEERMR_EXPORT_HELD;
  exporter_.query.revokes = 4;
  ASSERT_EQ(peermr_device_query(device_, buffer_, &status), 0);
  EXPECT_EQ(status.state, PEERMR_BUFFER_HELD);
  EXPECT_EQ(status.revokes, 4u);
  EXPECT_EQ(peermr_device_rearm(device_, buffer_, 4), 0);
  exporter_.failures[test::ExportCall::kRearm] = ESTALE;
  EXPECT_EQ(peermr_device_rearm(device_, buffer_, 3), -ESTALE);
  EXPECT_EQ(peermr_device_revoke(device_, buffer_), 0);
  exporter_.failures[test::ExportCall::kRevoke] = EBADFD;
  EXPECT_EQ(peermr_device_revoke(device_, buffer_), -ENODEV);
  EXPECT_THAT(peermr_last_error(), HasSubstr("revoked for good before"));
  EXPECT_EQ(peermr_device_make_private(device_, 1), 0);
}

class CapiMainline : public CapiExporter {
 protected:
  CapiMainline() : CapiExporter(test::FakeExporter::mainline()) {}
};

TEST_F(CapiMainline, LacksThemWithARemedy) {
  EXPECT_EQ(peermr_device_features(device_), PEERMR_CAN_EXPORT | PEERMR_CAN_DELEGATE);
  EXPECT_EQ(export_with(PEERMR_EXPORT_WITH_MANUAL_REARM), -EOPNOTSUPP);
  EXPECT_THAT(peermr_last_error(), HasSubstr("peermr_bar"));
  ASSERT_EQ(export_with(0), 0);
  EXPECT_EQ(peermr_device_revoke(device_, buffer_), -EOPNOTSUPP);
}

TEST(CapiErrors, WatchNeedsAnAddressAndTheModule) {
  peermr_dma_buf buffer{DmaBuf(std::make_shared<detail::DmaBufState>())};
  peermr_watch* watch = nullptr;
  EXPECT_EQ(peermr_watch_create(&buffer, "nonsense", &watch), -EINVAL);
  EXPECT_LT(peermr_watch_create(&buffer, "0000:7f:1f.7", &watch), 0);
  EXPECT_EQ(watch, nullptr);
}

TEST(CapiMonitor, IsTheCallersLoopsOrAThreads) {
  peermr_monitor* monitor = nullptr;
  ASSERT_EQ(peermr_monitor_create(0, &monitor), 0);
  EXPECT_GE(peermr_monitor_fd(monitor), 0);
  EXPECT_EQ(peermr_monitor_process(monitor), 0);
  peermr_monitor_close(monitor);
  ASSERT_EQ(peermr_monitor_create(1, &monitor), 0);
  EXPECT_EQ(peermr_monitor_process(monitor), -EPERM);
  EXPECT_THAT(peermr_last_error(), HasSubstr("own thread"));
  peermr_monitor_close(monitor);
}

// A program that was built before there were monitors says how much of the struct it knows.
TEST(CapiMonitor, IsNoPartOfAnOlderProgramsOptions) {
  peermr_dma_buf buffer{DmaBuf(std::make_shared<detail::DmaBufState>())};
  peermr_region_options options{};
  options.size = offsetof(peermr_region_options, monitor);
  options.offset = 4096;
  options.monitor = reinterpret_cast<const peermr_monitor*>(&buffer);
  ibv_pd pd{};
  peermr_region* region = nullptr;
  EXPECT_EQ(peermr_region_register(&pd, &buffer, &options, &region), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("not within the buffer"));
}

TEST(CapiErrors, ClosingNothingSucceeds) {
  peermr_watch_close(nullptr);
  peermr_monitor_close(nullptr);
  peermr_device_watch_close(nullptr);
  peermr_event_queue_close(nullptr);
  peermr_region_cache_close(nullptr);
  EXPECT_EQ(peermr_region_close(nullptr), 0);
  EXPECT_EQ(peermr_device_close(nullptr), 0);
  peermr_dma_buf_close(nullptr);
}

}  // namespace
}  // namespace peermr
