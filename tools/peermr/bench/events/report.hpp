// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/events/listener.hpp"
#include "bench/setting.hpp"

namespace peermr::tool {

/// Version of the JSON document that `peermr bench events --json` writes.
inline constexpr std::string_view kEventsSchema = "peermr-bench-events/1";

/// From the kernel's callback to the application's handler, one value for each revoke.
struct EventSeries {
  EventWay way = EventWay::kWatch;
  std::vector<std::uint64_t> latencies_ns;
};

struct EventsReport {
  Setting setting;
  std::string target;
  std::string exporter;
  std::vector<EventSeries> series;
};

[[nodiscard]] nlohmann::json to_json(const EventsReport& report);
[[nodiscard]] std::string format(const EventsReport& report);

}  // namespace peermr::tool
