// SPDX-License-Identifier: BSD-2-Clause
#include "bench/report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.hpp"

namespace peermr::tool {
namespace {

using nlohmann::json;

constexpr std::string_view kRead = "read a benchmark report";

json to_json(const ReportDevice& device) {
  return {{"name", device.name},
          {"driver", device.driver},
          {"pci", device.bdf},
          {"kind", to_string(device.kind)}};
}

Result<DeviceKind> parse_kind(const std::string& text) {
  for (DeviceKind kind : {DeviceKind::kHardware, DeviceKind::kSoftware, DeviceKind::kEmulated}) {
    if (to_string(kind) == text) return kind;
  }
  return make_error(Errc::kMalformed, kRead, "", "unknown kind of device: " + text);
}

json to_json(const Environment& environment) {
  json devices = json::array();
  for (const ReportDevice& device : environment.devices) devices.push_back(to_json(device));
  json object = {{"label", environment.label},     {"kernel", environment.kernel},
                 {"arch", environment.arch},       {"devices", std::move(devices)},
                 {"compare", environment.compare}, {"repeat", environment.repeat},
                 {"depth", environment.depth}};
  if (environment.copy_bytes_per_second) {
    object["device_copy_bytes_per_second"] = *environment.copy_bytes_per_second;
  }
  return object;
}

Result<Environment> environment_from_json(const json& object) {
  Environment environment;
  try {
    object.at("label").get_to(environment.label);
    object.at("kernel").get_to(environment.kernel);
    object.at("arch").get_to(environment.arch);
    object.at("compare").get_to(environment.compare);
    object.at("repeat").get_to(environment.repeat);
    object.at("depth").get_to(environment.depth);
    if (auto copy = object.find("device_copy_bytes_per_second"); copy != object.end()) {
      environment.copy_bytes_per_second = copy->get<double>();
    }
    for (const json& entry : object.at("devices")) {
      auto kind = parse_kind(entry.at("kind").get<std::string>());
      if (!kind) return std::move(kind).error();
      environment.devices.push_back({entry.at("name").get<std::string>(),
                                     entry.at("driver").get<std::string>(),
                                     entry.at("pci").get<std::string>(), *kind});
    }
  } catch (const json::exception& problem) {
    return make_error(Errc::kMalformed, kRead, "", problem.what());
  }
  return environment;
}

}  // namespace

ReportDevice report_device(const BenchDevice& device) {
  const auto& info = device.info();
  return {device.name(), info.driver, info.bdf ? info.bdf->to_string() : std::string(),
          device.emulated() ? DeviceKind::kEmulated
          : info.bdf        ? DeviceKind::kHardware
                            : DeviceKind::kSoftware};
}

std::string_view to_string(DeviceKind kind) noexcept {
  switch (kind) {
    case DeviceKind::kHardware:
      return "hardware";
    case DeviceKind::kSoftware:
      return "software";
    case DeviceKind::kEmulated:
      return "emulated";
  }
  return "?";
}

bool Report::good() const noexcept {
  return !rows.empty() &&
         std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.good(); });
}

json to_json(const Report& report) {
  json rows = json::array();
  for (const Row& row : report.rows) rows.push_back(to_json(row));
  return {{"schema", kReportSchema},
          {"environment", to_json(report.environment)},
          {"rows", std::move(rows)}};
}

Result<Report> report_from_json(const json& object) {
  if (!object.is_object() || object.value("schema", json()) != json(kReportSchema)) {
    return make_error(Errc::kMalformed, kRead, "",
                      fmt::format("it is not of schema {}", kReportSchema));
  }
  const json rows = object.value("rows", json());
  if (!rows.is_array()) return make_error(Errc::kMalformed, kRead, "", "it has no rows");
  auto environment = environment_from_json(object.value("environment", json()));
  if (!environment) return std::move(environment).error();
  Report report;
  report.environment = *std::move(environment);
  for (const json& entry : rows) {
    auto row = row_from_json(entry);
    if (!row) return std::move(row).error();
    report.rows.push_back(*std::move(row));
  }
  return report;
}

Result<Report> read_report(const std::string& path) {
  auto text = read_file(path);
  if (!text) return std::move(text).error();
  auto report = report_from_json(json::parse(*text, nullptr, /*allow_exceptions=*/false));
  if (report) return report;
  const Error& error = report.error();
  return Error(error.code(), error.operation(), path, error.detail());
}

Result<void> check_comparable(const std::vector<Report>& reports) {
  std::string emulated, hardware;
  for (const Report& report : reports) {
    for (const ReportDevice& device : report.environment.devices) {
      if (device.kind == DeviceKind::kEmulated) emulated = device.name;
      if (device.kind == DeviceKind::kHardware) hardware = device.name;
    }
  }
  if (emulated.empty() || hardware.empty()) return {};
  return make_error(std::errc::invalid_argument, "compare", "",
                    fmt::format("{} is emulated and {} is hardware: their figures do not belong "
                                "in one table",
                                emulated, hardware));
}

}  // namespace peermr::tool
