// SPDX-License-Identifier: BSD-2-Clause
#include "bench/events/listener.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "bench/slices.hpp"
#include "peermr/events.hpp"
#include "peermr/monitor.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using Clock = Listener::Clock;

constexpr auto kPatience = 20s;
constexpr int kPatienceMs = 20000;

Error not_heard(const Region& region) {
  return make_error(std::errc::timed_out, "hear of a revoke of", region.name(),
                    "nothing came for 20 s");
}

RegionOptions options_of(const Monitor* monitor) {
  RegionOptions options;
  options.address = Iova(slice_address(0));
  options.monitor = monitor;
  return options;
}

/// What listeners have in common: the buffer, and a watch that the kernel calls before all others.
/// It calls the latest importer first, so the watch is a new one for each revoke.
class Base : public Listener {
 public:
  Base(DmaBuf buffer, const Bdf& importer) noexcept
      : buffer_(std::move(buffer)), importer_(importer) {}

  Result<void> rearm() override {
    first_.reset();
    auto watch = Watch::create(buffer_, importer_);
    if (!watch) return watch.error();
    first_.emplace(*std::move(watch));
    return {};
  }

  Result<Clock::time_point> called_back() override {
    const auto event = first_->read();
    if (!event) return event.error();
    if (!*event) return not_heard(region());
    return (*event)->first;
  }

  Result<void> recover() override {
    const auto until = Clock::now() + kPatience;
    while (region().state() != RegionState::kLive) {
      if (Clock::now() > until) {
        return make_error(std::errc::timed_out, "wait for", region().name(), "it stays revoked");
      }
      std::this_thread::sleep_for(200us);
    }
    return {};
  }

 protected:
  const DmaBuf& buffer() const noexcept { return buffer_; }
  Watch& first() noexcept { return *first_; }

 private:
  DmaBuf buffer_;
  Bdf importer_;
  std::optional<Watch> first_;  // since rearm()
};

class WatchListener final : public Base {
 public:
  WatchListener(DmaBuf buffer, const Bdf& importer, Region region) noexcept
      : Base(std::move(buffer), importer), region_(std::move(region)) {}

  Result<Clock::time_point> hear() override {
    pollfd ready{.fd = first().fd(), .events = POLLIN, .revents = 0};
    int count = 0;
    do {
      count = ::poll(&ready, 1, kPatienceMs);
    } while (count < 0 && errno == EINTR);
    if (count <= 0) return not_heard(region_);
    const auto event = first().read();
    const auto now = Clock::now();
    if (!event) return event.error();
    if (!*event) return not_heard(region_);
    called_back_ = (*event)->first;
    return now;
  }

  Result<Clock::time_point> called_back() override { return called_back_; }

  // Nobody tells the region but its user.
  Result<void> recover() override {
    region_.report_completion(IBV_WC_REM_ACCESS_ERR, region_.generation());
    return region_.recover();
  }

  const Region& region() const noexcept override { return region_; }

 private:
  Region region_;
  Clock::time_point called_back_;
};

/// Where the monitor's thread says when it called the handler.
class Handled {
 public:
  void at(Clock::time_point time) {
    const std::lock_guard lock(mutex_);
    if (!time_) time_ = time;
    there_.notify_all();
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    time_.reset();
  }
  std::optional<Clock::time_point> wait() {
    std::unique_lock lock(mutex_);
    there_.wait_for(lock, kPatience, [this] { return time_.has_value(); });
    return time_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable there_;
  std::optional<Clock::time_point> time_;
};

class MonitorListener final : public Base {
 public:
  MonitorListener(DmaBuf buffer, const Bdf& importer, Monitor monitor) noexcept
      : Base(std::move(buffer), importer), monitor_(std::move(monitor)) {}

  Result<void> make_region(ibv_pd* pd) {
    RegionOptions options = options_of(&monitor_);
    options.on_event = [handled = handled_](const RegionEvent& event) {
      const auto now = Clock::now();
      if (event.state != RegionState::kLive) handled->at(now);
    };
    auto region = Region::create(pd, buffer(), options);
    if (!region) return region.error();
    region_.emplace(*std::move(region));
    return {};
  }

  Result<void> rearm() override {
    handled_->forget();
    return Base::rearm();
  }

  Result<Clock::time_point> hear() override {
    if (const auto time = handled_->wait()) return *time;
    return not_heard(*region_);
  }

  const Region& region() const noexcept override { return *region_; }

 private:
  const std::shared_ptr<Handled> handled_ = std::make_shared<Handled>();
  Monitor monitor_;
  std::optional<Region> region_;  // gone before its monitor
};

class QueueListener final : public Base {
 public:
  QueueListener(DmaBuf buffer, const Bdf& importer, Monitor monitor, EventQueue queue,
                UniqueFd epoll) noexcept
      : Base(std::move(buffer), importer),
        monitor_(std::move(monitor)),
        queue_(std::move(queue)),
        epoll_(std::move(epoll)) {}

  Result<void> make_region(ibv_pd* pd) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, queue_.fd(), &event) != 0) {
      return errno_error(errno, "wait for an event queue");
    }
    RegionOptions options = options_of(&monitor_);
    options.events = &queue_;
    auto region = Region::create(pd, buffer(), options);
    if (!region) return region.error();
    region_.emplace(*std::move(region));
    return {};
  }

  Result<void> rearm() override {
    while (queue_.read()) {
    }
    return Base::rearm();
  }

  Result<Clock::time_point> hear() override {
    const auto until = Clock::now() + kPatience;
    while (Clock::now() < until) {
      epoll_event event{};
      if (::epoll_wait(epoll_.get(), &event, 1, kPatienceMs) < 0 && errno != EINTR) {
        return errno_error(errno, "wait for an event queue");
      }
      const auto queued = queue_.read();
      const auto now = Clock::now();
      if (queued && queued->state != RegionState::kLive) return now;
    }
    return not_heard(*region_);
  }

  const Region& region() const noexcept override { return *region_; }

 private:
  Monitor monitor_;
  EventQueue queue_;
  UniqueFd epoll_;
  std::optional<Region> region_;  // gone before its monitor
};

Result<std::unique_ptr<Listener>> watch_listener(ibv_pd* pd, DmaBuf buffer, const Bdf& importer) {
  auto region = Region::create(pd, buffer, options_of(nullptr));
  if (!region) return region.error();
  return std::unique_ptr<Listener>(
      std::make_unique<WatchListener>(std::move(buffer), importer, *std::move(region)));
}

Result<std::unique_ptr<Listener>> monitor_listener(ibv_pd* pd, DmaBuf buffer, const Bdf& importer) {
  auto monitor = Monitor::create();
  if (!monitor) return monitor.error();
  auto listener =
      std::make_unique<MonitorListener>(std::move(buffer), importer, *std::move(monitor));
  if (auto made = listener->make_region(pd); !made) return made.error();
  return std::unique_ptr<Listener>(std::move(listener));
}

Result<std::unique_ptr<Listener>> queue_listener(ibv_pd* pd, DmaBuf buffer, const Bdf& importer) {
  auto monitor = Monitor::create();
  if (!monitor) return monitor.error();
  auto queue = EventQueue::create();
  if (!queue) return queue.error();
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error(errno, "make an epoll instance");
  auto listener = std::make_unique<QueueListener>(std::move(buffer), importer, *std::move(monitor),
                                                  *std::move(queue), std::move(epoll));
  if (auto made = listener->make_region(pd); !made) return made.error();
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace

std::string_view to_string(EventWay way) noexcept {
  switch (way) {
    case EventWay::kWatch:
      return "watch";
    case EventWay::kMonitor:
      return "monitor";
    case EventWay::kQueue:
      return "queue";
  }
  return "unknown";
}

Result<std::unique_ptr<Listener>> Listener::create(EventWay way, const BenchDevice& importer,
                                                   const DmaBuf& exported) {
  const auto& bdf = importer.info().bdf;
  if (!bdf) {
    return make_error(std::errc::not_supported, "watch a buffer in the name of", importer.name(),
                      "it is not a PCI device");
  }
  UniqueFd fd(::fcntl(exported.fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "duplicate the descriptor of", exported.name());
  auto buffer = DmaBuf::adopt(std::move(fd), exported.name());
  if (!buffer) return buffer.error();
  switch (way) {
    case EventWay::kWatch:
      return watch_listener(importer.pd(), *std::move(buffer), *bdf);
    case EventWay::kMonitor:
      return monitor_listener(importer.pd(), *std::move(buffer), *bdf);
    case EventWay::kQueue:
      break;
  }
  return queue_listener(importer.pd(), *std::move(buffer), *bdf);
}

}  // namespace peermr::tool
