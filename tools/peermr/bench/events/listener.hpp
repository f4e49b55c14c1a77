// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <memory>
#include <string_view>

#include "bench/rdma_device.hpp"
#include "peermr/dma_buf.hpp"
#include "peermr/region.hpp"
#include "peermr/watch.hpp"

namespace peermr::tool {

/// How an application hears that its memory was revoked.
enum class EventWay {
  kWatch,    ///< poll() on a Watch, and its read()
  kMonitor,  ///< RegionOptions::on_event, in a Monitor's own thread
  kQueue,    ///< epoll_wait() on an EventQueue, fed by a Monitor, and its read()
};

/// "watch", "monitor", "queue".
[[nodiscard]] std::string_view to_string(EventWay way) noexcept;

/// A region on a buffer, as a process has it that does not own the device, and one way to hear of a
/// revoke. By one thread at a time.
class Listener {
 public:
  using Clock = std::chrono::steady_clock;

  /// Registers `exported` under another handle, which does not know its device: what is done to
  /// that, only the kernel tells. Errors: those of Watch::create(), Monitor::create(),
  /// Region::create().
  [[nodiscard]] static Result<std::unique_ptr<Listener>> create(EventWay way,
                                                                const BenchDevice& importer,
                                                                const DmaBuf& exported);
  virtual ~Listener() = default;

  /// Forgets what it has heard.
  virtual Result<void> rearm() = 0;
  /// When the application's handler knew of the first revoke since rearm(). Waits for it. Errors:
  /// std::errc::timed_out.
  [[nodiscard]] virtual Result<Clock::time_point> hear() = 0;
  /// When the kernel called back for that. Once, and after hear().
  [[nodiscard]] virtual Result<Clock::time_point> called_back() = 0;
  /// The memory is back: returns once the region is live again. Errors: std::errc::timed_out.
  virtual Result<void> recover() = 0;

  [[nodiscard]] virtual const Region& region() const noexcept = 0;
};

}  // namespace peermr::tool
