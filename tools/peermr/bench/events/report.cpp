// SPDX-License-Identifier: BSD-2-Clause
#include "bench/events/report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.hpp"
#include "base/units.hpp"
#include "bench/statistics.hpp"

namespace peermr::tool {
namespace {

constexpr double kNsPerUs = 1000;

std::string_view explain(EventWay way) {
  switch (way) {
    case EventWay::kWatch:
      return "poll() on a Watch, read()";
    case EventWay::kMonitor:
      return "Monitor's thread, on_event";
    case EventWay::kQueue:
      return "epoll on an EventQueue, read()";
  }
  return "unknown";
}

std::vector<std::uint64_t> sorted(const EventSeries& series) {
  std::vector<std::uint64_t> values = series.latencies_ns;
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

nlohmann::json to_json(const EventsReport& report) {
  nlohmann::json series = nlohmann::json::array();
  for (const EventSeries& one : report.series) {
    const auto values = sorted(one);
    series.push_back({{"way", to_string(one.way)},
                      {"median_ns", percentile(values, 50)},
                      {"p99_ns", percentile(values, 99)},
                      {"latencies_ns", one.latencies_ns}});
  }
  nlohmann::json object = to_json(report.setting);
  object["schema"] = kEventsSchema;
  object["target"] = report.target;
  object["exporter"] = report.exporter;
  object["series"] = std::move(series);
  return object;
}

std::string format(const EventsReport& report) {
  Table table({{"handler", Table::Align::kLeft},
               {"revokes", Table::Align::kRight},
               {"median", Table::Align::kRight},
               {"p99", Table::Align::kRight},
               {"most", Table::Align::kRight}});
  for (const EventSeries& one : report.series) {
    const auto values = sorted(one);
    const auto figure = [&values](double percent) {
      return format_figure(static_cast<double>(percentile(values, percent)) / kNsPerUs);
    };
    table.add_row({std::string(explain(one.way)), std::to_string(values.size()), figure(50),
                   figure(99), figure(100)});
  }
  return fmt::format(
      "Events{}\n{}, exporter {}\n\nMicroseconds from the kernel's first callback until the "
      "application's handler knows:\n\n{}\nThe owner of the device, another thread, turns memory "
      "decode off. After each revoke the region was\nbrought back and written to, verified.\n",
      describe(report.setting), report.target, report.exporter, table.to_string());
}

}  // namespace peermr::tool
