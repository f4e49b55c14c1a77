// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "peermr/vend.hpp"

namespace peermr::tool {

/// What peermr vend says of an event: a line without time and newline.
[[nodiscard]] std::string event_text(const vend::VendorEvent& event);
[[nodiscard]] nlohmann::json event_json(const vend::VendorEvent& event);

/// Who has which slice. Slices that are free are counted, not shown.
[[nodiscard]] std::string loan_table(const std::vector<vend::SliceStatus>& slices,
                                     std::chrono::steady_clock::time_point now);

/// Decides which of the events that a hostile peer can bring about without end are shown: ten a
/// second.
class RefusalFilter {
 public:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool shows(Clock::time_point now);
  /// Of those that were not shown, since it was asked last; 0 within the second.
  [[nodiscard]] std::uint64_t take_hidden(Clock::time_point now);

 private:
  Clock::time_point since_{};
  std::uint64_t seen_ = 0;  // since then
  std::uint64_t hidden_ = 0;
};

}  // namespace peermr::tool
