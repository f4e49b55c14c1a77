// SPDX-License-Identifier: BSD-2-Clause
//
// Whatever takes a device's memory away and gives it back, in random order.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <peermr/peermr.hpp>
#include <random>
#include <shared_mutex>
#include <string_view>

namespace soak {

enum class Kind { kReset, kDecode, kSleep, kOthersReset, kQuiesce };
inline constexpr std::array kKinds = {Kind::kReset, Kind::kDecode, Kind::kSleep,
                                      Kind::kOthersReset, Kind::kQuiesce};
std::string_view to_string(Kind kind);

class Troublemaker {
 public:
  /// `trouble` is held, shared, while something is done to the device.
  Troublemaker(peermr::vfio::Device& device, std::shared_mutex& trouble, std::uint64_t seed);

  /// Until `stop`.
  void run(const std::atomic<bool>& stop);

  /// Whether the device lets that be done to it.
  bool can(Kind kind) const { return kind != Kind::kSleep || sleeps_; }
  std::uint64_t done(Kind kind) const { return done_[static_cast<std::size_t>(kind)]; }
  std::uint64_t failures() const { return failures_; }

 private:
  peermr::Result<void> make(Kind kind);
  peermr::Result<void> others_reset() const;

  peermr::vfio::Device& device_;
  std::shared_mutex& trouble_;
  std::mt19937_64 random_;
  bool sleeps_ = true;
  std::array<std::uint64_t, kKinds.size()> done_{};
  std::uint64_t failures_ = 0;
};

}  // namespace soak
