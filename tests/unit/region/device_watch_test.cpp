// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel tells the owner of a device, through a monitor on the caller's loop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "peermr/monitor.hpp"
#include "vfio/fake_device.hpp"

namespace peermr {
namespace {

using test::FakeExporter;
using testing::ElementsAre;
using testing::IsEmpty;
using vfio::DeviceEvent;

class WatchedDevice : public testing::Test {
 protected:
  WatchedDevice() { exporter_.events = {{DeviceEvent::kError, -1}, {DeviceEvent::kRequest, -1}}; }

  void watch() {
    watch_ = monitor_.watch(device_, [this](DeviceEvent event) {
      seen_.push_back(event);
      EXPECT_EQ(user_->calls.back(), 'q') << "the keys are gone before anybody is told";
      if (on_event_) on_event_();
    }).value();
  }
  void signal(DeviceEvent event) {
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(exporter_.events.at(event), &one, sizeof(one)), 8);
  }
  void process() { ASSERT_TRUE(monitor_.process()); }

  FakeExporter exporter_ = FakeExporter::peermr();
  vfio::Device device_ = test::open_device(exporter_);
  DmaBuf buffer_ = device_.export_dma_buf(BarIndex(2), test::kPage).value();
  std::shared_ptr<test::Recorder> user_ = test::use(buffer_);
  Monitor monitor_ = Monitor::create({.own_thread = false}).value();
  std::optional<DeviceWatch> watch_;
  std::vector<DeviceEvent> seen_;
  std::function<void()> on_event_;
};

TEST_F(WatchedDevice, NobodyIsToldWhenNothingHappened) {
  watch();
  process();
  EXPECT_THAT(seen_, IsEmpty());
  EXPECT_EQ(user_->calls, "");
}

TEST_F(WatchedDevice, EventTakesTheKeysAwayAndIsPassedOn) {
  watch();
  signal(DeviceEvent::kError);
  process();
  process();
  EXPECT_THAT(seen_, ElementsAre(DeviceEvent::kError));
  EXPECT_EQ(user_->calls, "q");
  signal(DeviceEvent::kRequest);
  process();
  EXPECT_THAT(seen_, ElementsAre(DeviceEvent::kError, DeviceEvent::kRequest));
}

TEST_F(WatchedDevice, HandlerMayResetTheDevice) {
  watch();
  on_event_ = [this] { EXPECT_TRUE(device_.reset()); };
  signal(DeviceEvent::kError);
  process();
  EXPECT_EQ(user_->calls, "qqr");
}

TEST_F(WatchedDevice, HandlerMayCloseTheDeviceAndEndTheWatch) {
  watch();
  on_event_ = [this] {
    EXPECT_TRUE(device_.close());
    watch_.reset();
  };
  signal(DeviceEvent::kRequest);
  process();
  EXPECT_EQ(user_->calls, "qqg");
}

TEST_F(WatchedDevice, EventsAreNotActedOnOnceTheWatchIsGone) {
  watch();
  signal(DeviceEvent::kError);
  watch_.reset();
  process();
  EXPECT_THAT(seen_, IsEmpty());
  EXPECT_EQ(user_->calls, "");
}

TEST_F(WatchedDevice, HasTheEventsThatTheDeviceHas) {
  exporter_.events.erase(DeviceEvent::kError);
  watch();
  signal(DeviceEvent::kRequest);
  process();
  EXPECT_THAT(seen_, ElementsAre(DeviceEvent::kRequest));
}

TEST_F(WatchedDevice, WithoutAnyEventItIsRefused) {
  exporter_.events.clear();
  const auto watch = monitor_.watch(device_, [](DeviceEvent) {});
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().code(), std::errc::not_supported);
}

TEST_F(WatchedDevice, WatchMayOutliveMonitorAndDevice) {
  watch();
  monitor_ = Monitor::create({.own_thread = false}).value();
  device_ = test::open_device(exporter_);
  watch_.reset();
}

}  // namespace
}  // namespace peermr
