// SPDX-License-Identifier: BSD-2-Clause
#include "bench/recover/report.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/table.hpp"
#include "base/units.hpp"
#include "bench/statistics.hpp"

namespace peermr::tool {
namespace {

using nlohmann::json;

constexpr const char* kAfterReset = "after_reset";

constexpr std::array<RecoverPhase, kRecoverPhases> kAllPhases = {
    RecoverPhase::kQuiesce,  RecoverPhase::kReset,   RecoverPhase::kWait,
    RecoverPhase::kRegister, RecoverPhase::kLibrary, RecoverPhase::kWrite};

std::string format_times(const RecoverReport& report) {
  std::vector<Table::Column> columns = {{"keys", Table::Align::kLeft}};
  for (const char* head : {"regions", "resets"}) columns.push_back({head, Table::Align::kRight});
  for (RecoverPhase phase : kAllPhases) {
    columns.push_back({std::string(to_string(phase)), Table::Align::kRight});
  }
  columns.push_back({"after reset", Table::Align::kRight});
  Table table(std::move(columns));
  for (const RecoverSeries& series : report.series) {
    std::vector<std::string> cells = {std::string(to_string(series.kind)),
                                      std::to_string(series.regions),
                                      std::to_string(series.resets.size())};
    for (RecoverPhase phase : kAllPhases) cells.push_back(format_figure(median(series.of(phase))));
    cells.push_back(format_figure(median(series.after_reset())));
    table.add_row(std::move(cells));
  }
  return "Microseconds for all regions together, median of the resets:\n\n" + table.to_string();
}

std::string format_growth(const RecoverReport& report) {
  std::string text;
  for (const RecoverGrowth& step : growth(report)) {
    text += fmt::format("  {}, {} -> {} regions: x {:.1f}\n", to_string(step.kind), step.from,
                        step.to, step.ratio);
  }
  return text.empty() ? text : "\nGrowth of the time after the reset:\n" + text;
}

}  // namespace

std::vector<double> RecoverSeries::of(RecoverPhase phase) const {
  std::vector<double> values;
  values.reserve(resets.size());
  for (const RecoverTimes& times : resets) values.push_back(times[static_cast<std::size_t>(phase)]);
  return values;
}

std::vector<double> RecoverSeries::after_reset() const {
  std::vector<double> values;
  values.reserve(resets.size());
  for (const RecoverTimes& times : resets) values.push_back(tool::after_reset(times));
  return values;
}

std::vector<RecoverGrowth> growth(const RecoverReport& report) {
  std::vector<RecoverGrowth> result;
  for (const RecoverSeries& last : report.series) {
    const RecoverSeries* before = nullptr;  // the next smaller number of regions
    bool largest = true;
    for (const RecoverSeries& other : report.series) {
      if (other.kind != last.kind) continue;
      if (other.regions > last.regions) largest = false;
      if (other.regions < last.regions && (!before || other.regions > before->regions)) {
        before = &other;
      }
    }
    if (!largest || before == nullptr) continue;
    const double below = median(before->after_reset());
    if (below <= 0) continue;
    result.push_back(
        {last.kind, before->regions, last.regions, median(last.after_reset()) / below});
  }
  return result;
}

json to_json(const RecoverReport& report) {
  json series = json::array();
  for (const RecoverSeries& one : report.series) {
    json object = {{"keys", to_string(one.kind)}, {"regions", one.regions}};
    for (RecoverPhase phase : kAllPhases) {
      object["microseconds"][std::string(to_string(phase))] = one.of(phase);
    }
    object["microseconds"][kAfterReset] = one.after_reset();
    series.push_back(std::move(object));
  }
  json steps = json::array();
  for (const RecoverGrowth& step : growth(report)) {
    steps.push_back({{"keys", to_string(step.kind)},
                     {"from", step.from},
                     {"to", step.to},
                     {"ratio", step.ratio}});
  }
  json object = to_json(report.setting);
  object["schema"] = kRecoverSchema;
  object["target"] = report.target;
  object["exporter"] = report.exporter;
  object["monitor"] = report.monitor;
  object["series"] = std::move(series);
  object["growth"] = std::move(steps);
  return object;
}

std::string format(const RecoverReport& report) {
  std::string text =
      fmt::format("Recover{}\n{}, exporter {}{}\n\n", describe(report.setting), report.target,
                  report.exporter, report.monitor ? ", regions with a monitor" : "");
  text += format_times(report) + format_growth(report);
  for (RecoverKind kind : report.impossible) {
    text += fmt::format("\nNo {} keys: this importer needs one of peermr's exporters for them.\n",
                        to_string(kind));
  }
  text +=
      "\nquiesce: keys taken away; reset: kernel and device; wait: until the memory could be "
      "mapped;\n"
      "register: in libibverbs and the kernel, library: outside of them, until all are live; "
      "write: "
      "the\n"
      "first RDMA write to each, verified; after reset: from the reset's return, these four. "
      "plain: "
      "a\n"
      "program that makes the same registrations by hand.\n";
  return text;
}

}  // namespace peermr::tool
