// SPDX-License-Identifier: BSD-2-Clause
//
// Events that VFIO tells the owner of a device by eventfds.
#include <unistd.h>

#include <array>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "peermr/monitor.hpp"
#include "region/monitor_core.hpp"
#include "vfio/memory_events.hpp"

namespace peermr {
namespace {

constexpr std::array kEvents = {vfio::DeviceEvent::kError, vfio::DeviceEvent::kRequest};

/// An eventfd as the monitor wants what it waits for.
class EventFdCounter final : public detail::InvalidateCounter {
 public:
  explicit EventFdCounter(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  int fd() const noexcept override { return fd_.get(); }
  std::uint64_t drain() override {
    std::uint64_t count = 0;
    static_cast<void>(::read(fd_.get(), &count, sizeof(count)));
    return 0;
  }
  Result<WatchStatus> status() const override { return WatchStatus{}; }

 private:
  const UniqueFd fd_;
};

/// One event of one device.
class EventWatcher final : public detail::Watcher {
 public:
  using Handler = std::function<void(vfio::DeviceEvent)>;

  EventWatcher(std::string device, std::shared_ptr<detail::MemoryEvents> memory,
               vfio::DeviceEvent event, std::shared_ptr<const Handler> handler)
      : device_(std::move(device)),
        memory_(std::move(memory)),
        event_(event),
        handler_(std::move(handler)) {}

  std::optional<std::chrono::steady_clock::time_point> look() override {
    const std::lock_guard handling(handling_);
    handler_thread_ = std::this_thread::get_id();
    const auto handler = handler_;
    if (handler) {
      log(LogLevel::kWarning, "{}: the kernel tells of an {}", device_, to_string(event_));
      quiesce();
      if (*handler) (*handler)(event_);
    }
    handler_thread_ = std::thread::id();
    return std::nullopt;
  }

  /// On return the handler is not, and will not be, called; unless it is the caller.
  void stop() {
    if (handler_thread_ == std::this_thread::get_id()) {
      handler_ = nullptr;
      return;
    }
    const std::lock_guard handling(handling_);
    handler_ = nullptr;
  }

 private:
  void quiesce() {
    const auto transition = memory_->begin_transition();
    if (const auto quiet = memory_->quiesce_all(); !quiet) {
      log(LogLevel::kError, "{}", quiet.error().message());
    }
  }

  const std::string device_;
  const std::shared_ptr<detail::MemoryEvents> memory_;
  const vfio::DeviceEvent event_;
  std::mutex handling_;  // held while the handler is called
  std::atomic<std::thread::id> handler_thread_{};
  std::shared_ptr<const Handler> handler_;  // null: stopped; under handling_, or by the handler
};

}  // namespace

class DeviceWatch::Impl {
 public:
  ~Impl() {
    sources_.clear();
    for (const auto& watcher : watchers_) watcher->stop();
  }

  Result<void> add(detail::MonitorCore& monitor, const Bdf& device, UniqueFd fd,
                   std::shared_ptr<EventWatcher> watcher) {
    auto counter = std::make_unique<EventFdCounter>(std::move(fd));
    auto source = monitor.subscribe(
        {watcher.get(), device},
        [&]() -> Result<std::unique_ptr<detail::InvalidateCounter>> { return std::move(counter); },
        watcher);
    if (!source) return source.error();
    sources_.push_back(*std::move(source));
    watchers_.push_back(std::move(watcher));
    return {};
  }

  [[nodiscard]] bool empty() const noexcept { return watchers_.empty(); }

 private:
  std::vector<std::shared_ptr<EventWatcher>> watchers_;
  std::vector<std::unique_ptr<detail::InvalidateSource>> sources_;
};

DeviceWatch::DeviceWatch(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
DeviceWatch::DeviceWatch(DeviceWatch&&) noexcept = default;
DeviceWatch& DeviceWatch::operator=(DeviceWatch&&) noexcept = default;
DeviceWatch::~DeviceWatch() = default;

Result<DeviceWatch> Monitor::watch(const vfio::Device& device,
                                   std::function<void(vfio::DeviceEvent)> handler) const {
  const auto shared = std::make_shared<const EventWatcher::Handler>(std::move(handler));
  auto impl = std::make_unique<DeviceWatch::Impl>();
  Result<void> refused;
  for (const vfio::DeviceEvent event : kEvents) {
    auto fd = device.event_fd(event);
    if (!fd && fd.error().code() == std::errc::not_supported) {
      refused = fd.error();
      continue;
    }
    if (!fd) return fd.error();
    auto watcher = std::make_shared<EventWatcher>(device.bdf().to_string(), device.memory_events(),
                                                  event, shared);
    auto added = impl->add(*core_, device.bdf(), *std::move(fd), std::move(watcher));
    if (!added) return added.error();
  }
  if (impl->empty()) return refused.error();
  return DeviceWatch(std::move(impl));
}

}  // namespace peermr
