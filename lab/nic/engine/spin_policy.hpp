// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "hardware.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::nic {

/// Decides how long the engine looks at idle doorbells before it sleeps.
///
/// A kick goes through the VMM and costs its guest tens of microseconds: longer than a short spin
/// lasts, so that an engine which sleeps too early is kicked for every single message. But where
/// all cores are taken, the peer that should answer cannot run while the engine spins: each message
/// then takes as long as the spin. So: always a few looks, which take some microseconds; then,
/// while there are no more runnable threads than cores, for up to 100 us. Single-threaded.
class SpinPolicy {
 public:
  /// `looks`: the number of fruitless looks that are always taken.
  explicit SpinPolicy(uint32_t looks);

  /// Something happened: begins anew.
  void active() noexcept { idle_looks_ = 0; }

  /// After a fruitless look: whether to take another one.
  bool look_again() noexcept;

 private:
  bool cores_to_spare(Clock::time_point now) noexcept;

  uint32_t looks_;
  uint32_t idle_looks_ = 0;
  Clock::time_point long_spin_ends_{};
  UniqueFd loadavg_;
  unsigned cores_;
  Clock::time_point sampled_at_{};
  bool spare_ = false;
};

}  // namespace peermr::nic
