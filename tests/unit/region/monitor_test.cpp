// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/read_section.hpp"
#include "peermr/monitor.hpp"
#include "region/fake_registrar.hpp"
#include "region/monitor_core.hpp"
#include "region/region_core.hpp"

namespace peermr {
namespace {

using detail::InvalidateCounter;
using detail::InvalidateSource;
using detail::MonitorCore;
using detail::Watcher;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// A buffer whose invalidates the test makes up.
struct FakeBuffer {
  std::atomic<std::uint64_t> total{0};
  std::atomic<int> counters{0};
  int fd = -1;

  void invalidate() {
    ++total;
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(fd, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }
};

class FakeCounter final : public InvalidateCounter {
 public:
  explicit FakeCounter(std::shared_ptr<FakeBuffer> buffer)
      : buffer_(std::move(buffer)), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    buffer_->fd = event_.get();
    ++buffer_->counters;
  }
  ~FakeCounter() override { --buffer_->counters; }
  int fd() const noexcept override { return event_.get(); }
  std::uint64_t drain() override {
    std::uint64_t count = 0;
    static_cast<void>(::read(event_.get(), &count, sizeof(count)));
    return buffer_->total;
  }
  Result<WatchStatus> status() const override { return WatchStatus{.total = buffer_->total}; }

 private:
  std::shared_ptr<FakeBuffer> buffer_;
  UniqueFd event_;
};

Result<std::unique_ptr<InvalidateSource>> subscribe_to(MonitorCore& core,
                                                       const std::shared_ptr<FakeBuffer>& buffer,
                                                       const std::weak_ptr<Watcher>& watcher) {
  return core.subscribe(
      {buffer.get(), Bdf(0, 1, 0, 0)},
      [&buffer]() -> Result<std::unique_ptr<InvalidateCounter>> {
        return std::unique_ptr<InvalidateCounter>(std::make_unique<FakeCounter>(buffer));
      },
      watcher);
}

class FakeWatcher final : public Watcher {
 public:
  void invalidated(std::uint64_t total) override { invalidates = total; }
  std::optional<Clock::time_point> look() override {
    ++looks;
    if (on_look) on_look();
    if (again > 0) {
      --again;
      return Clock::now() + 1ms;
    }
    return std::nullopt;
  }
  std::atomic<int> looks{0};
  std::atomic<int> again{0};
  std::atomic<std::uint64_t> invalidates{0};
  std::function<void()> on_look;
};

class MonitorTest : public testing::Test {
 protected:
  std::unique_ptr<InvalidateSource> subscribe(const std::shared_ptr<FakeWatcher>& watcher) {
    return subscribe_to(*core_, buffer_, watcher).value();
  }
  bool readable() const {
    pollfd waits{.fd = core_->fd(), .events = POLLIN, .revents = 0};
    return ::poll(&waits, 1, 0) == 1;
  }
  void process() { ASSERT_TRUE(core_->process(0)); }

  std::shared_ptr<MonitorCore> core_ = MonitorCore::create().value();
  std::shared_ptr<FakeBuffer> buffer_ = std::make_shared<FakeBuffer>();
  std::shared_ptr<FakeWatcher> watcher_ = std::make_shared<FakeWatcher>();
};

TEST_F(MonitorTest, TellsAllOfInvalidatesBeforeAnyOfThemLooks) {
  const auto source = subscribe(watcher_);
  const auto other_buffer = std::make_shared<FakeBuffer>();
  const auto other = std::make_shared<FakeWatcher>();
  const auto other_source = subscribe_to(*core_, other_buffer, other).value();
  const auto expect_told = [&] {
    EXPECT_EQ(watcher_->invalidates, 2u);
    EXPECT_EQ(other->invalidates, 1u);
  };
  watcher_->on_look = other->on_look = expect_told;
  buffer_->invalidate();
  buffer_->invalidate();
  other_buffer->invalidate();
  process();
  EXPECT_EQ(watcher_->looks, 1);
  EXPECT_EQ(other->looks, 1);
}

TEST_F(MonitorTest, TellsOfInvalidatesBeforeOneLooksWhoseTimeHasCome) {
  const auto source = subscribe(watcher_);
  const auto other_buffer = std::make_shared<FakeBuffer>();
  const auto other = std::make_shared<FakeWatcher>();
  const auto other_source = subscribe_to(*core_, other_buffer, other).value();
  other->again = 1;
  other_buffer->invalidate();
  process();
  std::this_thread::sleep_for(10ms);
  buffer_->invalidate();
  other->on_look = [&] { EXPECT_EQ(watcher_->invalidates, 1u); };
  process();
  EXPECT_EQ(watcher_->looks, 1);
  EXPECT_EQ(other->looks, 2);
}

TEST_F(MonitorTest, TellsAWatcherOnceOfWhatHappenedSinceItLooked) {
  const auto source = subscribe(watcher_);
  EXPECT_FALSE(readable());
  buffer_->invalidate();
  buffer_->invalidate();
  EXPECT_TRUE(readable());
  process();
  EXPECT_EQ(watcher_->looks, 1);
  EXPECT_FALSE(readable());
  EXPECT_EQ(source->status()->total, 2u);
}

TEST_F(MonitorTest, CallsAgainWhenAsked) {
  const auto source = subscribe(watcher_);
  watcher_->again = 3;
  source->ask();
  const auto end = Clock::now() + 10s;
  while (watcher_->looks < 4 && Clock::now() < end) ASSERT_TRUE(core_->process(100));
  EXPECT_EQ(watcher_->looks, 4);
  EXPECT_FALSE(readable());
}

TEST_F(MonitorTest, AsksOnlyThoseWhoWantIt) {
  const auto other = std::make_shared<FakeWatcher>();
  const auto source = subscribe(watcher_);
  const auto others = subscribe(other);
  source->ask();
  process();
  EXPECT_EQ(watcher_->looks, 1);
  EXPECT_EQ(other->looks, 0);
}

TEST_F(MonitorTest, WatchesABufferOnceForAllItsUsers) {
  const auto other = std::make_shared<FakeWatcher>();
  auto source = subscribe(watcher_);
  auto others = subscribe(other);
  EXPECT_EQ(buffer_->counters, 1);
  buffer_->invalidate();
  process();
  EXPECT_EQ(watcher_->looks, 1);
  EXPECT_EQ(other->looks, 1);
  source.reset();
  EXPECT_EQ(buffer_->counters, 1);
  buffer_->invalidate();
  process();
  EXPECT_EQ(watcher_->looks, 1) << "no longer";
  EXPECT_EQ(other->looks, 2);
  others->stop();
  EXPECT_EQ(buffer_->counters, 0) << "nobody keeps the buffer alive";
}

TEST_F(MonitorTest, OfAWatcherThatIsGoneTellsNobody) {
  const auto source = subscribe(watcher_);
  watcher_.reset();
  buffer_->invalidate();
  source->ask();
  process();
  EXPECT_FALSE(readable());
}

TEST_F(MonitorTest, ErrorOfTheCounterIsTheSubscribers) {
  const auto failed = core_->subscribe(
      {buffer_.get(), Bdf(0, 1, 0, 0)},
      []() -> Result<std::unique_ptr<InvalidateCounter>> {
        return errno_error(EDQUOT, "watch", "fake");
      },
      watcher_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code().value(), EDQUOT);
  EXPECT_NE(subscribe(watcher_), nullptr) << "and leaves nothing behind";
}

TEST_F(MonitorTest, ProcessesNothingInAThreadThatHoldsALease) {
  detail::enter_section();
  EXPECT_EQ(core_->process(0).error().code(), Errc::kLeaseHeld);
  detail::leave_section();
  EXPECT_TRUE(core_->process(0));
}

TEST(Monitor, OnTheCallersLoopHasNoThreadAndProcessesWhenTold) {
  auto monitor = Monitor::create({.own_thread = false}).value();
  EXPECT_GE(monitor.fd(), 0);
  EXPECT_TRUE(monitor.process());
}

TEST(Monitor, WithAThreadDoesNotWantTheCallersHelp) {
  auto monitor = Monitor::create().value();
  const auto refused = monitor.process();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), std::errc::operation_not_permitted);
}

TEST(Monitor, ThreadTellsAndEndsWithTheMonitor) {
  const auto buffer = std::make_shared<FakeBuffer>();
  const auto watcher = std::make_shared<FakeWatcher>();
  std::unique_ptr<InvalidateSource> source;
  {
    auto monitor = Monitor::create().value();
    source = subscribe_to(*monitor.core(), buffer, watcher).value();
    buffer->invalidate();
    const auto end = Clock::now() + 10s;
    while (watcher->looks == 0 && Clock::now() < end) std::this_thread::sleep_for(1ms);
    EXPECT_GE(watcher->looks, 1);
  }
  const int before = watcher->looks;
  buffer->invalidate();
  source->ask();
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(watcher->looks, before) << "its thread is gone";
}

TEST(Monitor, TellsRegionsThatAreBeingMade) {
  test::FakeDevice device;
  const auto buffer = std::make_shared<FakeBuffer>();
  auto monitor = Monitor::create().value();
  const auto other = std::make_shared<FakeWatcher>();
  const auto source = subscribe_to(*monitor.core(), buffer, other).value();
  std::atomic<bool> stop{false};
  std::thread revoker([&] {
    while (!stop) {
      buffer->invalidate();
      std::this_thread::sleep_for(20us);
    }
  });
  int made = 0;
  const auto end = Clock::now() + 10s;
  for (int i = 0; (i < 500 || made < 10) && Clock::now() < end; ++i) {
    const auto region = detail::RegionCore::create(
        std::make_unique<test::FakeRegistrar>(device, verbs::ImporterClass::kRevocable), nullptr,
        {}, nullptr, [&](const std::weak_ptr<Watcher>& watcher) {
          return subscribe_to(*monitor.core(), buffer, watcher);
        });
    if (region) {
      ++made;
      ASSERT_TRUE((*region)->close());
    } else {
      ASSERT_EQ(region.error().code(), Errc::kRevoked);
    }
    const std::lock_guard lock(device.mutex);
    ASSERT_TRUE(device.registered.empty()) << "a key of a region that is gone";
  }
  stop = true;
  revoker.join();
  EXPECT_GE(made, 10);
}

TEST(Monitor, LetsManyThreadsSubscribeAndLeaveWhileItTells) {
  auto monitor = Monitor::create().value();
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<FakeBuffer>> buffers;
  for (int t = 0; t < 4; ++t) {
    buffers.push_back(std::make_shared<FakeBuffer>());
    threads.emplace_back([&monitor, buffer = buffers.back()] {
      for (int i = 0; i < 200; ++i) {
        const auto watcher = std::make_shared<FakeWatcher>();
        watcher->again = 1;
        const auto source = subscribe_to(*monitor.core(), buffer, watcher).value();
        buffer->invalidate();
        source->ask();
        if (i % 2 == 0) std::this_thread::yield();
        source->stop();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  { const Monitor ended = std::move(monitor); }
  for (const auto& buffer : buffers) EXPECT_EQ(buffer->counters, 0) << "a watch is left";
}

}  // namespace
}  // namespace peermr
