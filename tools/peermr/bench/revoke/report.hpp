// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/revoke/round.hpp"
#include "bench/setting.hpp"
#include "bench/statistics.hpp"

namespace peermr::tool {

/// Version of the JSON document that `peermr bench revoke --json` writes.
inline constexpr std::string_view kRevokeSchema = "peermr-bench-revoke/1";

/// The rounds of one driver with so many buffers of one target, in the order of the pairs.
struct RevokeSeries {
  std::string target;  ///< "0000:05:00.0 BAR 2, 64 MiB"
  std::uint32_t buffers = 0;
  std::string driver;
  std::vector<PhaseTimes> rounds;

  [[nodiscard]] std::vector<double> of(Phase phase) const;
};

struct RevokeReport {
  Setting setting;
  std::string driver;                ///< the one that is measured
  std::string against;               ///< the one that it is compared with; empty: none
  std::vector<RevokeSeries> series;  ///< of both drivers
};

/// The measured driver's time over the other's, pair by pair.
struct RevokeRatio {
  std::string target;
  std::uint32_t buffers = 0;
  std::size_t pairs = 0;
  std::array<MedianInterval, kPhases> phases;
};
[[nodiscard]] std::vector<RevokeRatio> ratios(const RevokeReport& report);

/// How much longer a phase takes with more buffers, of the same driver and target.
struct RevokeGrowth {
  std::string target;
  std::string driver;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::array<double, kPhases> phases{};
};
/// The two largest numbers of buffers of each driver and target.
[[nodiscard]] std::vector<RevokeGrowth> growth(const RevokeReport& report);

[[nodiscard]] nlohmann::json to_json(const RevokeReport& report);
[[nodiscard]] std::string format(const RevokeReport& report);

}  // namespace peermr::tool
