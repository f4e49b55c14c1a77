// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.hpp"
#include "base/quiet_thread.hpp"
#include "vend/vendor_core.hpp"

namespace peermr::vend {
namespace {

// After an error that should not be, so that it does not fill the log.
constexpr auto kPause = std::chrono::seconds(1);

Result<void> check(const VendorOptions& options) {
  const auto invalid = [](std::string_view detail) {
    return make_error(std::errc::invalid_argument, "vend", {}, detail);
  };
  if (options.lease_time <= std::chrono::milliseconds(0)) {
    return invalid("a lease time is longer than nothing");
  }
  if (options.lease_time > std::chrono::hours(24 * 365)) {
    return invalid("a lease time is a year at most");
  }
  if (options.max_borrowers == 0) return invalid("there must be room for a borrower");
  return {};
}

}  // namespace

std::string_view to_string(LoanEnd end) noexcept {
  switch (end) {
    case LoanEnd::kNone:
      return "live";
    case LoanEnd::kGivenBack:
      return "given back";
    case LoanEnd::kOverdue:
      return "overdue";
    case LoanEnd::kBorrowerGone:
      return "borrower gone";
    case LoanEnd::kVendorStops:
      return "vendor stops";
    case LoanEnd::kDeviceGone:
      return "device gone";
    case LoanEnd::kVendorGone:
      return "vendor gone";
  }
  return "unknown";
}

std::string_view to_string(SliceState state) noexcept {
  switch (state) {
    case SliceState::kFree:
      return "free";
    case SliceState::kClearing:
      return "clearing";
    case SliceState::kLent:
      return "lent";
    case SliceState::kTaking:
      return "taking back";
    case SliceState::kLost:
      return "lost";
  }
  return "unknown";
}

class Vendor::Worker {
 public:
  explicit Worker(std::shared_ptr<Core> core)
      : core_(std::move(core)), thread_(start_quiet_thread("peermr-vend", [this] { run(); })) {}
  ~Worker() {
    end_ = true;
    core_->wake();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

 private:
  void run() {
    while (!end_) {
      const auto done = core_->process(-1);
      if (done) continue;
      log(LogLevel::kError, "{}", done.error().message());
      std::this_thread::sleep_for(kPause);
    }
  }

  const std::shared_ptr<Core> core_;
  std::atomic<bool> end_{false};
  std::thread thread_;  // last: it uses what is above
};

Result<Vendor> Vendor::create(vfio::Device& device, VendorOptions options) {
  if (auto good = check(options); !good) return std::move(good).error();
  if (auto able = DeviceMemory::check_exporter(device); !able) return std::move(able).error();
  const auto layout = DeviceMemory::layout(device, options.bar, options.range, options.slice_bytes);
  if (!layout) return layout.error();
  const bool own_thread = options.own_thread;
  auto core = Core::create(std::make_unique<DeviceMemory>(device, *layout, options.mappable),
                           std::move(options));
  if (!core) return std::move(core).error();
  return start(*std::move(core), own_thread);
}

Result<Vendor> Vendor::start(std::shared_ptr<Core> core, bool own_thread) {
  std::unique_ptr<Worker> worker;
  if (own_thread) {
    try {
      worker = std::make_unique<Worker>(core);
    } catch (const std::system_error& error) {
      return Error(error.code(), "vend", {}, "cannot start a thread");
    }
  }
  return Vendor(std::move(core), std::move(worker));
}

Vendor::Vendor(std::shared_ptr<Core> core, std::unique_ptr<Worker> worker) noexcept
    : core_(std::move(core)), worker_(std::move(worker)) {}
Vendor::Vendor(Vendor&&) noexcept = default;

Vendor& Vendor::operator=(Vendor&& other) noexcept {
  if (this == &other) return *this;
  const Vendor old(std::move(core_), std::move(worker_));
  core_ = std::move(other.core_);
  worker_ = std::move(other.worker_);
  return *this;
}

Vendor::~Vendor() {
  if (core_) core_->stop(std::nullopt, worker_ == nullptr);
}

int Vendor::fd() const noexcept {
  return core_->fd();
}

Result<void> Vendor::process() {
  if (worker_) {
    return make_error(std::errc::operation_not_permitted, "serve borrowers", {},
                      "the vendor's own thread does it: create it with own_thread = false");
  }
  return core_->process(0);
}

std::vector<SliceStatus> Vendor::loans() const {
  return core_->loans();
}

Result<vfio::ResetReport> Vendor::reset() {
  return core_->reset();
}

std::vector<SliceStatus> Vendor::stop(std::chrono::milliseconds limit) {
  return core_->stop(limit, worker_ == nullptr);
}

}  // namespace peermr::vend
