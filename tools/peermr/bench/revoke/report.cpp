// SPDX-License-Identifier: BSD-2-Clause
#include "bench/revoke/report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.hpp"
#include "base/units.hpp"

namespace peermr::tool {
namespace {

using nlohmann::json;

constexpr std::array<Phase, kPhases> kAllPhases = {
    Phase::kExport, Phase::kMap, Phase::kRevoke, Phase::kRestore, Phase::kAccess, Phase::kRelease};

std::size_t index(Phase phase) {
  return static_cast<std::size_t>(phase);
}

// The series of the other driver with the same target and number of buffers; null: none.
const RevokeSeries* counterpart(const RevokeReport& report, const RevokeSeries& series) {
  for (const RevokeSeries& other : report.series) {
    if (other.driver == report.against && other.target == series.target &&
        other.buffers == series.buffers) {
      return &other;
    }
  }
  return nullptr;
}

std::vector<Table::Column> columns(std::vector<std::string> names) {
  std::vector<Table::Column> result;
  for (auto& name : names) result.push_back({std::move(name), Table::Align::kLeft});
  for (Phase phase : kAllPhases) {
    result.push_back({std::string(to_string(phase)), Table::Align::kRight});
  }
  return result;
}

std::string format_times(const RevokeReport& report) {
  Table table(columns({"target", "buffers", "driver", "rounds"}));
  for (const RevokeSeries& series : report.series) {
    std::vector<std::string> cells = {series.target, std::to_string(series.buffers), series.driver,
                                      std::to_string(series.rounds.size())};
    for (Phase phase : kAllPhases) cells.push_back(format_figure(median(series.of(phase))));
    table.add_row(std::move(cells));
  }
  return "Microseconds for all buffers together, median of the rounds:\n\n" + table.to_string();
}

std::string format_ratios(const RevokeReport& report) {
  const auto all = ratios(report);
  if (all.empty()) return {};
  Table table(columns({"target", "buffers", "pairs"}));
  for (const RevokeRatio& ratio : all) {
    std::vector<std::string> cells = {ratio.target, std::to_string(ratio.buffers),
                                      std::to_string(ratio.pairs)};
    for (const MedianInterval& value : ratio.phases) {
      cells.push_back(fmt::format("{:.3f} [{:.3f}, {:.3f}]", value.median, value.low, value.high));
    }
    table.add_row(std::move(cells));
  }
  return fmt::format(
      "\nTime with {} over time with {}, median of the pairs and its 95 % interval:\n\n{}",
      report.driver, report.against, table.to_string());
}

std::string format_growth(const RevokeReport& report) {
  const auto all = growth(report);
  if (all.empty()) return {};
  Table table(columns({"target", "driver", "buffers"}));
  for (const RevokeGrowth& step : all) {
    std::vector<std::string> cells = {step.target, step.driver,
                                      fmt::format("{} -> {}", step.from, step.to)};
    for (double value : step.phases) cells.push_back(fmt::format("x {:.1f}", value));
    table.add_row(std::move(cells));
  }
  return "\nGrowth with the number of buffers:\n\n" + table.to_string();
}

}  // namespace

std::vector<double> RevokeSeries::of(Phase phase) const {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const PhaseTimes& times : rounds) values.push_back(times[index(phase)]);
  return values;
}

std::vector<RevokeRatio> ratios(const RevokeReport& report) {
  std::vector<RevokeRatio> result;
  if (report.against.empty()) return result;
  for (const RevokeSeries& series : report.series) {
    if (series.driver != report.driver) continue;
    const RevokeSeries* other = counterpart(report, series);
    if (other == nullptr) continue;
    RevokeRatio ratio{
        series.target, series.buffers, std::min(series.rounds.size(), other->rounds.size()), {}};
    for (Phase phase : kAllPhases) {
      std::vector<double> quotients;
      for (std::size_t pair = 0; pair < ratio.pairs; ++pair) {
        const double below = other->rounds[pair][index(phase)];
        if (below > 0) quotients.push_back(series.rounds[pair][index(phase)] / below);
      }
      ratio.phases[index(phase)] = median_interval(std::move(quotients));
    }
    result.push_back(std::move(ratio));
  }
  return result;
}

std::vector<RevokeGrowth> growth(const RevokeReport& report) {
  std::vector<RevokeGrowth> result;
  for (const RevokeSeries& last : report.series) {
    const RevokeSeries* before = nullptr;  // the next smaller number of buffers
    bool largest = true;
    for (const RevokeSeries& other : report.series) {
      if (other.driver != last.driver || other.target != last.target) continue;
      if (other.buffers > last.buffers) largest = false;
      if (other.buffers < last.buffers && (!before || other.buffers > before->buffers)) {
        before = &other;
      }
    }
    if (!largest || before == nullptr) continue;
    RevokeGrowth step{last.target, last.driver, before->buffers, last.buffers, {}};
    for (Phase phase : kAllPhases) {
      const double below = median(before->of(phase));
      step.phases[index(phase)] = below > 0 ? median(last.of(phase)) / below : 0;
    }
    result.push_back(std::move(step));
  }
  return result;
}

json to_json(const RevokeReport& report) {
  json series = json::array();
  for (const RevokeSeries& one : report.series) {
    json object = {{"target", one.target}, {"buffers", one.buffers}, {"driver", one.driver}};
    for (Phase phase : kAllPhases) {
      object["microseconds"][std::string(to_string(phase))] = one.of(phase);
    }
    series.push_back(std::move(object));
  }
  json comparisons = json::array();
  for (const RevokeRatio& ratio : ratios(report)) {
    json object = {{"target", ratio.target}, {"buffers", ratio.buffers}, {"pairs", ratio.pairs}};
    for (Phase phase : kAllPhases) {
      const MedianInterval& value = ratio.phases[index(phase)];
      object["ratio"][std::string(to_string(phase))] = {
          {"median", value.median}, {"low", value.low}, {"high", value.high}};
    }
    comparisons.push_back(std::move(object));
  }
  json object = to_json(report.setting);
  object["schema"] = kRevokeSchema;
  object["driver"] = report.driver;
  object["against"] = report.against;
  object["series"] = std::move(series);
  object["comparisons"] = std::move(comparisons);
  return object;
}

std::string format(const RevokeReport& report) {
  std::string text = "Revoke" + describe(report.setting) + "\n\n";
  text += format_times(report) + format_ratios(report) + format_growth(report);
  text +=
      "\nexport: a dma-buf each; map: ibv_reg_dmabuf_mr each; revoke, restore: memory decode off, "
      "on, for all\n"
      "of them; access: the first RDMA write to each after that, verified; release: deregister, "
      "close.\n";
  return text;
}

}  // namespace peermr::tool
