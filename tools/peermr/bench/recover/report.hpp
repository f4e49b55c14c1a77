// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/recover/round.hpp"
#include "bench/setting.hpp"

namespace peermr::tool {

/// Version of the JSON document that `peermr bench recover --json` writes.
inline constexpr std::string_view kRecoverSchema = "peermr-bench-recover/1";

/// The resets under so many regions of one kind.
struct RecoverSeries {
  std::uint32_t regions = 0;
  RecoverKind kind = RecoverKind::kStable;
  std::vector<RecoverTimes> resets;

  [[nodiscard]] std::vector<double> of(RecoverPhase phase) const;
  [[nodiscard]] std::vector<double> after_reset() const;
};

struct RecoverReport {
  Setting setting;
  std::string target;
  std::string exporter;
  bool monitor = false;
  std::vector<RecoverKind> impossible;  ///< with this importer and exporter
  std::vector<RecoverSeries> series;
};

/// How much longer it takes from the reset's return, with the most regions over the next smaller
/// number, medians.
struct RecoverGrowth {
  RecoverKind kind = RecoverKind::kStable;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  double ratio = 0;
};
[[nodiscard]] std::vector<RecoverGrowth> growth(const RecoverReport& report);

[[nodiscard]] nlohmann::json to_json(const RecoverReport& report);
[[nodiscard]] std::string format(const RecoverReport& report);

}  // namespace peermr::tool
