// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/monitor.hpp"

#include <atomic>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.hpp"
#include "base/quiet_thread.hpp"
#include "peermr/watch.hpp"
#include "region/monitor_core.hpp"

namespace peermr {
namespace detail {
namespace {

class WatchCounter final : public InvalidateCounter {
 public:
  explicit WatchCounter(Watch watch) noexcept : watch_(std::move(watch)) {}

  int fd() const noexcept override { return watch_.fd(); }
  std::uint64_t drain() override {
    const auto event = watch_.read();
    if (event) return *event ? (*event)->total : 0;
    log(LogLevel::kWarning, "{}", event.error().message());
    return 0;
  }
  Result<WatchStatus> status() const override { return watch_.status(); }

 private:
  Watch watch_;
};

class NoCounter final : public InvalidateCounter {
 public:
  int fd() const noexcept override { return -1; }
  std::uint64_t drain() override { return 0; }
  Result<WatchStatus> status() const override { return WatchStatus{}; }
};

}  // namespace

Result<std::unique_ptr<InvalidateCounter>> make_counter(const DmaBuf& buffer, const Bdf& importer,
                                                        const SystemPaths& paths) {
  auto watch = Watch::create(buffer, importer, paths);
  if (watch) {
    return std::unique_ptr<InvalidateCounter>(std::make_unique<WatchCounter>(*std::move(watch)));
  }
  if (watch.error().code() != Errc::kNoWatch) return watch.error();
  log(LogLevel::kInfo, "{}", watch.error().message());
  return std::unique_ptr<InvalidateCounter>(std::make_unique<NoCounter>());
}

}  // namespace detail

class Monitor::Worker {
 public:
  explicit Worker(std::shared_ptr<detail::MonitorCore> core)
      : core_(std::move(core)), thread_(start_quiet_thread("peermr-monitor", [this] { run(); })) {}
  ~Worker() {
    stop_ = true;
    core_->wake();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

 private:
  void run() {
    while (!stop_) {
      if (const auto done = core_->process(-1); !done) {
        log(LogLevel::kError, "{}", done.error().message());
        return;
      }
    }
  }

  const std::shared_ptr<detail::MonitorCore> core_;
  std::atomic<bool> stop_{false};
  std::thread thread_;  // last: it uses what is above
};

Result<Monitor> Monitor::create(const MonitorOptions& options) {
  auto core = detail::MonitorCore::create();
  if (!core) return core.error();
  std::unique_ptr<Worker> worker;
  if (options.own_thread) {
    try {
      worker = std::make_unique<Worker>(*core);
    } catch (const std::system_error& error) {
      return Error(error.code(), "make monitor", {}, "cannot start its thread");
    }
  }
  return Monitor(*std::move(core), std::move(worker));
}

Monitor::Monitor(std::shared_ptr<detail::MonitorCore> core, std::unique_ptr<Worker> worker) noexcept
    : core_(std::move(core)), worker_(std::move(worker)) {}
Monitor::Monitor(Monitor&&) noexcept = default;
Monitor& Monitor::operator=(Monitor&&) noexcept = default;
Monitor::~Monitor() = default;

int Monitor::fd() const noexcept {
  return core_->fd();
}

Result<void> Monitor::process() {
  if (worker_) {
    return make_error(std::errc::operation_not_permitted, "process events of a monitor", {},
                      "its own thread does it: create it with own_thread = false");
  }
  return core_->process(0);
}

}  // namespace peermr
