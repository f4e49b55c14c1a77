// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>

#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/vfio.hpp"

namespace peermr {

namespace detail {
class MonitorCore;
}

/// What Monitor::watch() returns: events are acted on until it is destroyed. Destroying it waits for
/// a handler that is being called, unless that is who does it. May outlive monitor and device.
/// Moves.
class PEERMR_API DeviceWatch {
 public:
  DeviceWatch(DeviceWatch&&) noexcept;
  DeviceWatch& operator=(DeviceWatch&&) noexcept;
  ~DeviceWatch();

 private:
  friend class Monitor;
  class Impl;
  explicit DeviceWatch(std::unique_ptr<Impl> impl) noexcept;

  std::unique_ptr<Impl> impl_;
};

struct MonitorOptions {
  /// The library's own thread does the work. False: the caller's event loop, see Monitor::fd().
  bool own_thread = true;
};

/// Learns what others do to the memory of regions: resets through sysfs, by another process or by
/// the kernel after an error, restores, buffers taken back for good. Regions that are made with it
/// (RegionOptions::monitor) give no keys from then on and come back as their policy says, in the
/// thread that works for the monitor.
///
/// It needs the module dmabuf_watch to learn of invalidates. Without it, it brings back those
/// regions whose loss a completion has shown.
///
/// Moves. Regions stop learning when it is destroyed, otherwise they are not affected. fd() and
/// process() are thread-safe.
class PEERMR_API Monitor {
 public:
  /// Errors: errno of epoll_create1(), eventfd(), timerfd_create(), or of starting a thread.
  [[nodiscard]] static Result<Monitor> create(const MonitorOptions& options = {});

  Monitor(Monitor&&) noexcept;
  Monitor& operator=(Monitor&&) noexcept;
  ~Monitor();

  /// Acts on what the kernel tells the owner of `device` (vfio::DeviceEvent), and passes it on: the
  /// keys of all regions on the device's memory are taken away, then `handler` is called, in the
  /// thread that works for the monitor. After an error the owner resets the device, which brings
  /// the regions back; after a request it closes it. The handler may do either, and may destroy the
  /// watch; it must not throw.
  ///
  /// Watches each event that the device can have. Errors: std::errc::not_supported when that is
  /// none; errno of the VFIO ioctl, eventfd() or epoll_ctl().
  [[nodiscard]] Result<DeviceWatch> watch(const vfio::Device& device,
                                          std::function<void(vfio::DeviceEvent)> handler) const;

  /// For poll, epoll, libuv or io_uring without a thread of the library's: when it is readable,
  /// call process(). Borrowed; never read from it.
  [[nodiscard]] int fd() const noexcept;

  /// Does what there is to do, and returns. That may register memory and wait for leases, but it
  /// does not sleep between attempts.
  /// Errors: std::errc::operation_not_permitted when a thread of the library's does it;
  /// Errc::kLeaseHeld when this thread holds a lease; errno of epoll_wait().
  Result<void> process();

  [[nodiscard]] const std::shared_ptr<detail::MonitorCore>& core() const noexcept { return core_; }

 private:
  class Worker;
  Monitor(std::shared_ptr<detail::MonitorCore> core, std::unique_ptr<Worker> worker) noexcept;

  std::shared_ptr<detail::MonitorCore> core_;
  std::unique_ptr<Worker> worker_;  // null: the caller's loop
};

}  // namespace peermr
