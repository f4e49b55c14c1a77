// SPDX-License-Identifier: BSD-2-Clause
//
// Events of regions and devices, cached regions and options, through the C interface.
#include "peermr/peermr_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "capi/handles.hpp"
#include "peermr/peermr_cache.h"
#include "peermr/peermr_watch.h"
#include "region/event_queue.hpp"
#include "region/fake_registrar.hpp"
#include "region/region_core.hpp"
#include "vfio/fake_device.hpp"

extern "C" int set_power_from_c(peermr_device* device, int power);

namespace peermr {
namespace {

using detail::MemoryEvents;
using detail::RegionCore;
using test::FakeDevice;
using test::FakeExporter;
using test::FakeRegistrar;
using testing::ElementsAre;

class CapiEvents : public testing::Test {
 protected:
  CapiEvents() { EXPECT_EQ(peermr_event_queue_create(&queue_), 0); }
  ~CapiEvents() override { peermr_event_queue_close(queue_); }

  std::shared_ptr<Region> make(std::uint64_t cookie) {
    detail::RegionConfig config;
    config.name = "memory";
    config.back_off.limit = {};
    config.on_event = queue_->queue.core()->listener(cookie, {});
    return std::make_shared<Region>(
        RegionCore::create(
            std::make_unique<FakeRegistrar>(device_, verbs::ImporterClass::kRevocable), events_,
            config)
            .value());
  }
  bool readable() {
    pollfd poll_fd{.fd = peermr_event_queue_fd(queue_), .events = POLLIN, .revents = 0};
    return ::poll(&poll_fd, 1, 0) == 1;
  }

  FakeDevice device_;
  std::shared_ptr<MemoryEvents> events_ = std::make_shared<MemoryEvents>();
  peermr_event_queue* queue_ = nullptr;
};

TEST_F(CapiEvents, EmptyQueueSaysSo) {
  peermr_event event;
  EXPECT_FALSE(readable());
  EXPECT_EQ(peermr_event_queue_read(queue_, &event), -EAGAIN);
}

TEST_F(CapiEvents, TellWhatBecameOfTheRegionAndWhy) {
  const auto region = make(42);
  device_.memory_there = false;
  ASSERT_TRUE(events_->quiesce_all());
  events_->restore_all();
  peermr_event event;
  ASSERT_TRUE(readable());
  ASSERT_EQ(peermr_event_queue_read(queue_, &event), 0);
  EXPECT_EQ(event.cookie, 42u);
  EXPECT_EQ(event.state, PEERMR_REGION_REVOKED);
  EXPECT_GT(event.changes, 1u);
  EXPECT_NE(std::string(event.error), "");
  EXPECT_EQ(peermr_event_queue_read(queue_, &event), -EAGAIN);
}

TEST_F(CapiEvents, ErrorThatIsTooLongIsCut) {
  const auto region = make(1);
  device_.failures = {errno_error(ENOMEM, "register", std::string(1000, 'x'))};
  ASSERT_TRUE(events_->quiesce_all());
  events_->restore_all();
  peermr_event event;
  ASSERT_EQ(peermr_event_queue_read(queue_, &event), 0);
  EXPECT_EQ(std::string(event.error).size(), std::size_t{PEERMR_EVENT_ERROR_BYTES} - 1);
}

TEST_F(CapiEvents, RegionFromACacheIsLetGoOfNotClosed) {
  const auto region = make(1);
  EXPECT_EQ(peermr_region_close(new peermr_region{region, true}), 0);
  EXPECT_EQ(region->state(), RegionState::kLive);
}

TEST(CapiOptions, OfAnOlderProgramHaveTheDefaultsOfWhatItDoesNotKnow) {
  peermr_region_options options{};
  options.size = offsetof(peermr_region_options, monitor);
  options.keys = PEERMR_KEYS_FRESH;
  options.events = reinterpret_cast<peermr_event_queue*>(1);  // not its own: not looked at
  const auto cpp = capi::to_cpp(&options);
  ASSERT_TRUE(cpp);
  EXPECT_EQ(cpp->keys, KeyPolicy::kFresh);
  EXPECT_EQ(cpp->events, nullptr);
}

TEST(CapiCache, RefusesAPartOfTheWrongSize) {
  peermr_region_cache* cache = nullptr;
  ASSERT_EQ(peermr_region_cache_create(8, nullptr, &cache), 0);
  peermr_cached_part part{};
  part.size = 3;
  peermr_region* region = nullptr;
  EXPECT_EQ(peermr_region_cache_get(cache, nullptr, nullptr, &part, &region), -EINVAL);
  EXPECT_EQ(region, nullptr);
  peermr_region_cache_close(cache);
}

TEST(CapiDevice, EventsOfTheKernelReachTheHandlerOnce) {
  auto exporter = FakeExporter::peermr();
  exporter.events = {{vfio::DeviceEvent::kRequest, -1}};
  peermr_device device{test::open_device(exporter)};
  peermr_monitor* monitor = nullptr;
  ASSERT_EQ(peermr_monitor_create(0, &monitor), 0);
  std::vector<peermr_device_event> seen;
  peermr_device_watch* watch = nullptr;
  ASSERT_EQ(peermr_monitor_watch_device(
                monitor, &device,
                [](peermr_device_event event, void* context) {
                  static_cast<std::vector<peermr_device_event>*>(context)->push_back(event);
                },
                &seen, &watch),
            0);
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(exporter.events.at(vfio::DeviceEvent::kRequest), &one, sizeof(one)), 8);
  EXPECT_EQ(peermr_monitor_process(monitor), 0);
  EXPECT_EQ(peermr_monitor_process(monitor), 0);
  EXPECT_THAT(seen, ElementsAre(PEERMR_DEVICE_REQUEST));
  peermr_device_watch_close(watch);
  peermr_monitor_close(monitor);
}

TEST(CapiDevice, PowerStateThatDoesNotExistIsRefused) {
  auto exporter = FakeExporter::peermr();
  peermr_device device{test::open_device(exporter)};
  EXPECT_EQ(set_power_from_c(&device, PEERMR_POWER_SLEEP + 2), -EINVAL);
  EXPECT_EQ(peermr_device_set_power(&device, PEERMR_POWER_SLEEP), -EOPNOTSUPP);
  EXPECT_EQ(peermr_device_quiesce(&device), 0);
  EXPECT_EQ(peermr_device_resume(&device), 0);
}

}  // namespace
}  // namespace peermr
