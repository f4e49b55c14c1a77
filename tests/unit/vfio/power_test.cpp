// SPDX-License-Identifier: BSD-2-Clause
//
// Power states, and taking keys away by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vfio/fake_device.hpp"

namespace peermr::vfio {
namespace {

using test::FakeExporter;
using test::kPage;
using test::open_device;
using test::use;

// A capability list at 0x40: MSI-X, then power management with its control register at 0x54.
constexpr std::uint16_t kControl = 0x54;

class Power : public testing::Test {
 protected:
  Power() {
    exporter_.config = {{0x00, 0x1af4}, {0x06, 0x0010}, {0x34, 0x40},
                        {0x40, 0x5011}, {0x50, 0x0001}, {kControl, 0x0100}};
  }
  FakeExporter exporter_ = FakeExporter::peermr();
  Device device_ = open_device(exporter_);
  DmaBuf buffer_ = device_.export_dma_buf(BarIndex(2), kPage).value();
  std::shared_ptr<test::Recorder> user_ = use(buffer_);
};

TEST_F(Power, SleepTakesTheMemoryAwayAndWakingBringsItBack) {
  ASSERT_TRUE(device_.set_power(PowerState::kD3hot));
  EXPECT_EQ(exporter_.config[kControl], 0x0103) << "the other bits stay";
  EXPECT_EQ(user_->calls, "q");
  ASSERT_TRUE(device_.set_power(PowerState::kD0));
  EXPECT_EQ(exporter_.config[kControl], 0x0100);
  EXPECT_EQ(user_->calls, "qr");
}

TEST_F(Power, StateThatItHasAlreadyTellsNobody) {
  ASSERT_TRUE(device_.set_power(PowerState::kD0));
  EXPECT_EQ(user_->calls, "");
}

TEST_F(Power, WakingWithDecodeOffBringsNothingBack) {
  ASSERT_TRUE(device_.set_power(PowerState::kD3hot));
  exporter_.memory_enabled = false;
  ASSERT_TRUE(device_.set_power(PowerState::kD0));
  EXPECT_EQ(user_->calls, "q");
}

TEST_F(Power, SleepThatFailsIsUndone) {
  exporter_.config_write_error = EIO;
  EXPECT_FALSE(device_.set_power(PowerState::kD3hot));
  EXPECT_EQ(user_->calls, "q~");
}

TEST_F(Power, WakingThatFailsBringsNothingBack) {
  ASSERT_TRUE(device_.set_power(PowerState::kD3hot));
  exporter_.config_write_error = EIO;
  EXPECT_FALSE(device_.set_power(PowerState::kD0));
  EXPECT_EQ(user_->calls, "q");
}

TEST_F(Power, DeviceWithoutTheCapabilityIsRefused) {
  exporter_.config[0x40] = 0x0011;  // the list ends
  const auto done = device_.set_power(PowerState::kD3hot);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), std::errc::not_supported);
  EXPECT_EQ(user_->calls, "");
}

TEST_F(Power, CapabilityListWithALoopIsRefused) {
  exporter_.config[0x40] = 0x4011;
  EXPECT_FALSE(device_.set_power(PowerState::kD3hot));
}

TEST_F(Power, LeaseHeldCallsTheSleepOff) {
  user_->refuses = true;
  const auto done = device_.set_power(PowerState::kD3hot);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(exporter_.config[kControl], 0x0100);
}

TEST_F(Power, QuiesceHoldsUntilResumeWhichSaysThatTheMemoryMayNotHaveBeenAway) {
  ASSERT_TRUE(device_.quiesce());
  EXPECT_EQ(user_->calls, "q");
  ASSERT_TRUE(device_.resume());
  EXPECT_EQ(user_->calls, "q~");
}

TEST_F(Power, ResumeWithDecodeOffIsRefused) {
  ASSERT_TRUE(device_.quiesce());
  exporter_.memory_enabled = false;
  const auto done = device_.resume();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::kRevoked);
  EXPECT_EQ(user_->calls, "q");
}

TEST_F(Power, ResetEndsAQuiesceToo) {
  ASSERT_TRUE(device_.quiesce());
  ASSERT_TRUE(device_.reset());
  EXPECT_EQ(user_->calls, "qqr");
}

TEST_F(Power, ResetReportsWhatItsUsersWaitedForAndWhatTheKernelTook) {
  using namespace std::chrono_literals;
  user_->comeback = {.in_use = true, .waiting = 2s, .in_kernel = 3s};
  const auto report = device_.reset().value();
  EXPECT_EQ(report.regions, 1u);
  EXPECT_EQ(report.restored, 1u);
  EXPECT_EQ(report.waiting, 2s);
  EXPECT_GE(report.in_kernel, 3s) << "and asking whether memory decode is on";
  EXPECT_LT(report.in_kernel, 4s);
  EXPECT_EQ(report.own(), report.restore - report.waiting - report.in_kernel);
}

}  // namespace
}  // namespace peermr::vfio
