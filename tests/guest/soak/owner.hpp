// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <peermr/peermr.hpp>
#include <string>

#include "soak/counts.hpp"
#include "soak/message.hpp"
#include "soak/nic.hpp"

namespace soak {

struct OwnerPlan {
  std::uint32_t number = 0;
  const char* nic = nullptr;  ///< variable that holds its PCI address
  const peermr::DmaBuf* buffer = nullptr;
  peermr::KeyPolicy keys = peermr::KeyPolicy::kStable;
  const peermr::Monitor* monitor = nullptr;
};

/// The end of a connection that owns memory which is taken away again and again, and takes numbered
/// messages.
class Owner {
 public:
  Owner(const OwnerPlan& plan, peermr::UniqueFd socket, Counts& counts);

  int fd() const { return connection_.fd(); }
  /// One turn of an event loop. An error: the connection is dead.
  peermr::Result<void> turn();

  const peermr::Region& region() const { return region_; }
  /// Numbers of messages that were taken.
  std::uint64_t due() const { return arrivals_.due(); }
  /// For an end whose connection is dead: closes the region; what is not as it should be, or
  /// nothing.
  std::string end();
  std::string describe() const;

 private:
  void take(const peermr::Completion& received);
  void post_receive(std::uint64_t place);
  void watch_over_region();

  const OwnerPlan plan_;
  Counts& counts_;
  Nic nic_;
  Messages inbox_;
  peermr::RcConnection connection_;
  peermr::Region region_;
  Arrivals arrivals_;
  std::uint64_t receives_ = 0;  // posted, and not completed
  std::chrono::steady_clock::time_point live_at_ = std::chrono::steady_clock::now();
};

}  // namespace soak
