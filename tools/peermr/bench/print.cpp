// SPDX-License-Identifier: BSD-2-Clause
#include "bench/print.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/table.hpp"
#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::size_t kWidth = 110;
constexpr std::uint64_t kRatioSize = 1u << 20;

using Group = std::tuple<Operation, std::uint64_t>;

std::vector<Group> groups_of(const std::vector<Report>& reports) {
  std::vector<Group> groups;
  for (const Report& report : reports) {
    for (const Row& row : report.rows) {
      const Group group{row.key.operation, row.key.size_bytes};
      if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
    }
  }
  return groups;
}

bool several_devices(const std::vector<Report>& reports) {
  std::set<std::string> names;
  for (const Report& report : reports) {
    for (const Row& row : report.rows) names.insert(row.key.device);
  }
  return names.size() > 1;
}

// Domain 0 goes without saying in a table.
std::string short_target(const std::string& target) {
  return target.starts_with("0000:") ? target.substr(5) : target;
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string microseconds(std::uint64_t ns) {
  return ns == 0 ? "-" : fmt::format("{:.1f}", static_cast<double>(ns) / 1000);
}

std::vector<std::string> cells(const Report& report, const Row& row, bool labels, bool devices) {
  std::vector<std::string> line = {std::string(to_string(row.key.operation)),
                                   format_bytes(row.key.size_bytes)};
  if (labels) line.push_back(report.environment.label);
  if (devices) line.push_back(row.key.device);
  line.insert(line.end(),
              {short_target(row.key.target), or_dash(row.key.predicted), or_dash(row.key.kernel)});
  const Measurement& measured = row.measured;
  const bool any = measured.messages != 0;
  line.insert(line.end(), {any ? format_figure(measured.bytes_per_second / kMib) : "-",
                           any ? format_figure(measured.messages_per_second / 1000) : "-",
                           microseconds(measured.latency_median_ns),
                           microseconds(measured.latency_p99_ns), row.verdict()});
  return line;
}

const Row* find_row(const Report& report, Operation operation, std::uint64_t size,
                    const std::string& device, const std::string& target) {
  for (const Row& row : report.rows) {
    if (row.good() && row.key.operation == operation && row.key.size_bytes == size &&
        row.key.device == device && row.key.target == target) {
      return &row;
    }
  }
  return nullptr;
}

double ratio(double a, double b) {
  return b == 0 ? 0 : a / b;
}

constexpr const char* kHost = "host memory";

void add_path_ratios(const Report& report, std::string& out) {
  for (const Row& row : report.rows) {
    if (!row.good() || row.key.target == kHost || row.key.size_bytes != kRatioSize) continue;
    const Row* host = find_row(report, row.key.operation, kRatioSize, row.key.device, kHost);
    if (host == nullptr) continue;
    out +=
        fmt::format("  1 MiB {:5}  {} ({}) / host memory: {:.2f}\n", to_string(row.key.operation),
                    short_target(row.key.target), row.key.predicted,
                    ratio(row.measured.bytes_per_second, host->measured.bytes_per_second));
  }
}

void add_copy_ratio(const Report& report, std::string& out) {
  if (!report.environment.copy_bytes_per_second || report.environment.devices.empty()) return;
  const std::string& device = report.environment.devices.front().name;
  const Row* row = find_row(report, Operation::kWrite, kRatioSize, device, kHost);
  if (row == nullptr) return;
  const double copy = *report.environment.copy_bytes_per_second;
  out += fmt::format(
      "  1 MiB write  host memory / plain copy by the device itself ({} MiB/s): "
      "{:.2f}\n",
      format_figure(copy / kMib), ratio(row->measured.bytes_per_second, copy));
}

void add_comparison(const Report& report, std::string& out) {
  const std::string& other = report.environment.compare;
  if (other.empty()) return;
  Table table({{"operation"},
               {"size"},
               {"bandwidth", Table::Align::kRight},
               {"message rate", Table::Align::kRight},
               {"median latency", Table::Align::kRight}});
  bool any = false;
  for (const Row& row : report.rows) {
    if (!row.good() || row.key.target != kHost || row.key.device == other) continue;
    const Row* peer = find_row(report, row.key.operation, row.key.size_bytes, other, kHost);
    if (peer == nullptr) continue;
    any = true;
    const Measurement& a = row.measured;
    const Measurement& b = peer->measured;
    const double latency =
        ratio(static_cast<double>(a.latency_median_ns), static_cast<double>(b.latency_median_ns));
    table.add_row({std::string(to_string(row.key.operation)), format_bytes(row.key.size_bytes),
                   fmt::format("x {:.1f}", ratio(a.bytes_per_second, b.bytes_per_second)),
                   fmt::format("x {:.1f}", ratio(a.messages_per_second, b.messages_per_second)),
                   fmt::format("x {:.2f}", latency)});
  }
  if (!any) return;
  out += fmt::format("\n{} against {}, host memory, same run, taking turns, median of {}:\n\n{}",
                     report.environment.devices.front().name, other, report.environment.repeat,
                     table.to_string());
}

void add_note(std::string& out, const std::string& text) {
  out += "* " + wrap(text, kWidth - 2, "  ") + '\n';
}

}  // namespace

std::string format_table(const std::vector<Report>& reports) {
  const bool labels = reports.size() > 1;
  const bool devices = several_devices(reports);
  std::vector<Table::Column> columns = {{"op"}, {"size", Table::Align::kRight}};
  if (labels) columns.push_back({"topology"});
  if (devices) columns.push_back({"device"});
  for (const char* head : {"memory", "path", "kernel says"}) columns.push_back({head});
  for (const char* head : {"MiB/s", "kmsg/s", "median us", "p99 us"}) {
    columns.push_back({head, Table::Align::kRight});
  }
  columns.push_back({"data"});
  Table table(std::move(columns));
  const auto groups = groups_of(reports);
  std::size_t rows = 0;
  for (const Report& report : reports) rows += report.rows.size();
  for (const auto& [operation, size] : groups) {
    // Groups of one row need no gaps between them.
    if (rows > groups.size() && Group{operation, size} != groups.front()) table.add_gap();
    for (const Report& report : reports) {
      for (const Row& row : report.rows) {
        if (row.key.operation != operation || row.key.size_bytes != size) continue;
        table.add_row(cells(report, row, labels, devices));
      }
    }
  }
  return table.to_string();
}

std::string format_ratios(const Report& report) {
  std::string out;
  add_path_ratios(report, out);
  add_copy_ratio(report, out);
  if (!out.empty()) {
    const std::string& label = report.environment.label;
    out.insert(
        0, label.empty() ? "Bandwidth ratios:\n" : fmt::format("Bandwidth ratios, {}:\n", label));
  }
  add_comparison(report, out);
  return out;
}

std::string format_notes(const std::vector<Report>& reports) {
  std::set<std::string> paths, emulated;
  for (const Report& report : reports) {
    const std::string& label = report.environment.label;
    for (const ReportDevice& device : report.environment.devices) {
      if (device.kind == DeviceKind::kEmulated) emulated.insert(device.name);
    }
    for (const Row& row : report.rows) {
      if (row.key.predicted.empty()) continue;
      paths.insert(fmt::format("{}{}: {}, because {}", label.empty() ? "" : label + ", ",
                               row.key.target, row.key.predicted, row.key.reason));
    }
  }
  std::string out;
  add_note(out,
           "MiB/s: 2^20 bytes a second. Latency: from posting one message until its completion is "
           "seen, nothing else in flight. Verified: memory was poisoned before and compared byte "
           "for byte by the CPU after both measurements.");
  for (const std::string& path : paths) add_note(out, path);
  if (emulated.empty()) return out;
  std::string names;
  for (const std::string& name : emulated) names += (names.empty() ? "" : ", ") + name;
  add_note(out, "EMULATED NIC: " + names +
                    ". These are figures of software (pnicd and QEMU) on this machine: they tell "
                    "what the layers cost, and nothing about any hardware.");
  add_note(out,
           "Bus address against host bridge: QEMU does not model PCIe's wires. The two differ here "
           "in addresses and translation only (bus addresses, or IOVAs through the vIOMMU); a "
           "switch that keeps traffic off the root complex saves nothing under QEMU.");
  return out;
}

std::string format_problems(const std::vector<Report>& reports) {
  std::string out;
  for (const Report& report : reports) {
    const std::string& label = report.environment.label;
    for (const Row& row : report.rows) {
      const std::string problem = row.problem();
      if (!problem.empty()) out += (label.empty() ? "" : label + ": ") + problem + '\n';
    }
    if (report.rows.empty()) {
      out += (label.empty() ? "this run" : label) + ": there is not a single row\n";
    }
  }
  return out;
}

}  // namespace peermr::tool
