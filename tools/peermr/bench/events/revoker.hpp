// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "peermr/vfio.hpp"

namespace peermr::tool {

/// The owner of a device, who takes its memory away in a thread of its own while others listen. The
/// device must outlive it.
class Revoker {
 public:
  explicit Revoker(vfio::Device& device);
  ~Revoker();
  Revoker(const Revoker&) = delete;
  Revoker& operator=(const Revoker&) = delete;

  /// Turns memory decode off soon: in half a millisecond to one and a half, when who listens is
  /// asleep. Returns at once.
  void revoke();
  /// Waits until it is off. Errors: those of turning it off.
  Result<void> wait();
  /// Turns it on again, in the calling thread.
  Result<void> restore();

 private:
  enum class Order { kNone, kRevoke, kEnd };
  void run();

  vfio::Device& device_;
  std::mutex mutex_;  // protects what follows
  std::condition_variable changed_;
  Order order_ = Order::kNone;
  std::optional<Result<void>> done_;
  std::thread thread_;  // last: it uses what is above
};

}  // namespace peermr::tool
