// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "capi/handles.hpp"
#include "region/fake_registrar.hpp"
#include "region/region_core.hpp"

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
    region_ = new peermr_region{Region(core.value())};
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
  peermr_region* region = nullptr;
  peermr_region_options options{};
  EXPECT_EQ(peermr_region_register(nullptr, nullptr, &options, &region), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("options.size"));
  options.size = sizeof(options);
  options.flags = 0x80;
  EXPECT_EQ(peermr_region_register(nullptr, nullptr, &options, &region), -EINVAL);
  options.flags = 0;
  options.on_revoke = 17;
  EXPECT_EQ(peermr_region_register(nullptr, nullptr, &options, &region), -EINVAL);
}

TEST(CapiErrors, ClosingNothingSucceeds) {
  EXPECT_EQ(peermr_region_close(nullptr), 0);
  EXPECT_EQ(peermr_device_close(nullptr), 0);
  peermr_dma_buf_close(nullptr);
}

}  // namespace
}  // namespace peermr
