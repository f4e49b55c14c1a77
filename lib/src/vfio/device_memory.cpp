// SPDX-License-Identifier: BSD-2-Clause
//
// The calls of a device that take its memory away, or bring it back.

#include <chrono>
#include <string>

#include "base/call_time.hpp"
#include "base/log.hpp"
#include "base/may_wait.hpp"
#include "pci/config_space.hpp"
#include "peermr/vfio.hpp"
#include "vfio/device_impl.hpp"

namespace peermr::vfio {

using peermr::detail::may_wait;

namespace {

using Clock = std::chrono::steady_clock;

// PCI Power Management 1.2, section 3.2.4.
constexpr std::uint16_t kPowerStateMask = 0x3;

Result<std::uint16_t> power_control_of(const Backend& backend, const std::string& name) {
  constexpr std::uint16_t kBytes = 256;  // where capabilities are
  std::string space;
  for (std::uint16_t offset = 0; offset < kBytes; offset += 2) {
    const auto word = backend.read_config16(offset);
    if (!word) return word.error();
    space.push_back(static_cast<char>(*word & 0xff));
    space.push_back(static_cast<char>(*word >> 8));
  }
  if (const auto at = ConfigSpace(space, kBytes).power_control()) return *at;
  return make_error(std::errc::not_supported, "change power state of", name,
                    "it has no power management");
}

// Tells users that the memory is back; while memory decode is off it is not. `was_away`: it was
// revoked, for certain.
Result<peermr::detail::MemoryEvents::Restored> restore_if_enabled(Device::Impl& device,
                                                                  bool was_away) {
  peermr::detail::CallTime asking;
  const auto enabled = asking.of([&device] { return device.backend->memory_enabled(); });
  if (!enabled) return enabled.error();
  peermr::detail::MemoryEvents::Restored restored;
  if (*enabled) restored = was_away ? device.events->restore_all() : device.events->resume_all();
  restored.in_kernel += asking.total();
  return restored;
}

}  // namespace

Result<void> Device::set_memory_enabled(bool enabled) {
  if (auto may = may_wait("switch memory decode of", impl_->name); !may) return may;
  const auto transition = impl_->events->begin_transition();
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
  if (!written) impl_->events->resume_all();
  return written;
}

Result<void> Device::set_power(PowerState state) {
  if (auto may = may_wait("change power state of", impl_->name); !may) return may;
  const auto transition = impl_->events->begin_transition();
  const auto at = power_control_of(*impl_->backend, impl_->name);
  if (!at) return at.error();
  const auto control = impl_->backend->read_config16(*at);
  if (!control) return control.error();
  const auto bits = static_cast<std::uint16_t>(state == PowerState::kD0 ? 0 : kPowerStateMask);
  if ((*control & kPowerStateMask) == bits) return {};
  const auto wanted = static_cast<std::uint16_t>((*control & ~kPowerStateMask) | bits);
  if (state == PowerState::kD3hot) {
    if (auto quiet = impl_->events->quiesce_all(); !quiet) return quiet;
  }
  auto written = impl_->backend->write_config16(*at, wanted);
  // Back on, or still on.
  if (written.has_value() != (state == PowerState::kD0)) return written;
  auto restored = restore_if_enabled(*impl_, written.has_value());
  if (written && !restored) return restored.error();
  return written;
}

Result<void> Device::quiesce() {
  if (auto may = may_wait("quiesce", impl_->name); !may) return may;
  const auto transition = impl_->events->begin_transition();
  return impl_->events->quiesce_all();
}

Result<void> Device::resume() {
  if (auto may = may_wait("resume", impl_->name); !may) return may;
  const auto transition = impl_->events->begin_transition();
  const auto enabled = impl_->backend->memory_enabled();
  if (!enabled) return enabled.error();
  if (!*enabled) {
    return make_error(Errc::kRevoked, "resume", impl_->name, "its memory decode is off");
  }
  impl_->events->resume_all();
  return {};
}

Result<ResetReport> Device::reset() {
  if (auto may = may_wait("reset", impl_->name); !may) return may.error();
  const auto transition = impl_->events->begin_transition();
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
  const auto restored = restore_if_enabled(*impl_, done.has_value());
  report.quiesce = quiet_at - start;
  report.reset = reset_at - quiet_at;
  report.restore = Clock::now() - reset_at;
  if (!done) return done.error();
  if (!restored) return restored.error();
  report.regions = restored->observers;
  report.restored = restored->in_use;
  report.waiting = restored->waiting;
  report.in_kernel = restored->in_kernel;
  return report;
}

Result<void> Device::close() {
  if (!impl_ || impl_->backend->fd() < 0) return {};
  if (auto may = may_wait("close", impl_->name); !may) return may;
  const auto transition = impl_->events->begin_transition();
  if (auto quiet = impl_->events->quiesce_all(); !quiet) return quiet;
  impl_->events->gone_all();
  impl_->link->cut();
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
