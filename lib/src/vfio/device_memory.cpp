// SPDX-License-Identifier: BSD-2-Clause
//
// The calls of a device that take its memory away, or bring it back.

#include <chrono>

#include "base/log.hpp"
#include "peermr/vfio.hpp"
#include "vfio/device_impl.hpp"

namespace peermr::vfio {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Result<void> Device::set_memory_enabled(bool enabled) {
  const std::lock_guard lock(impl_->transition);
  const auto before = impl_->backend->memory_enabled();
  if (!before) return before.error();
  if (*before == enabled) return {};
  if (enabled) {
    if (auto written = impl_->backend->write_memory_enabled(true); !written) return written;
    impl_->events->restore_all();
    return {};
  }
  if (auto quiet = impl_->events->quiesce_all(); !quiet) return quiet;
  auto written = impl_->backend->write_memory_enabled(false);
  if (!written) impl_->events->restore_all();
  return written;
}

Result<ResetReport> Device::reset() {
  const std::lock_guard lock(impl_->transition);
  if (!impl_->backend->can_reset()) {
    return make_error(std::errc::not_supported, "reset", impl_->name,
                      "the kernel knows no way to reset this function alone");
  }
  ResetReport report;
  const auto start = Clock::now();
  if (auto quiet = impl_->events->quiesce_all(); !quiet) return quiet.error();
  const auto quiet_at = Clock::now();
  const auto done = impl_->backend->reset_function();
  const auto reset_at = Clock::now();
  // A reset keeps the command register: memory that was off before still is, and so are its users.
  const auto enabled = impl_->backend->memory_enabled();
  if (enabled && *enabled) {
    const auto restored = impl_->events->restore_all();
    report.regions = restored.observers;
    report.restored = restored.in_use;
  }
  report.quiesce = quiet_at - start;
  report.reset = reset_at - quiet_at;
  report.restore = Clock::now() - reset_at;
  if (!done) return done.error();
  if (!enabled) return enabled.error();
  return report;
}

Result<void> Device::close() {
  if (!impl_ || impl_->backend->fd() < 0) return {};
  const std::lock_guard lock(impl_->transition);
  if (auto quiet = impl_->events->quiesce_all(); !quiet) return quiet;
  impl_->events->gone_all();
  return impl_->backend->close();
}

Device::~Device() {
  const auto closed = close();
  if (closed) return;
  log(LogLevel::kError, "{}", closed.error().message());
  // Nobody was told, so the memory must stay.
  if (closed.error().code() == Errc::kLeaseHeld) static_cast<void>(impl_.release());
}

}  // namespace peermr::vfio
