// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/rdma_device.hpp"
#include "bench/row.hpp"
#include "peermr/result.hpp"

namespace peermr::tool {

/// Version of the JSON document that `peermr bench --json` writes: docs/man/peermr-bench.1.
inline constexpr std::string_view kReportSchema = "peermr-bench/1";

/// What stands behind a device's figures.
enum class DeviceKind {
  kHardware,
  kSoftware,  ///< a device without a PCI function: rxe, siw
  kEmulated,  ///< this project's pnic device
};

/// "hardware", "software", "emulated".
[[nodiscard]] std::string_view to_string(DeviceKind kind) noexcept;

struct ReportDevice {
  std::string name;
  std::string driver;
  std::string bdf;  ///< empty for a software device
  DeviceKind kind = DeviceKind::kHardware;
};

[[nodiscard]] ReportDevice report_device(const BenchDevice& device);

struct Environment {
  std::string label;   ///< of this run, for a table of several: the lab's topology
  std::string kernel;  ///< release
  std::string arch;
  std::vector<ReportDevice> devices;  ///< initiator, target, device to compare with
  std::string compare;                ///< name of the latter; empty: none
  unsigned repeat = 1;
  std::uint32_t depth = 0;
  /// The emulated device's own measure of a plain memory copy.
  std::optional<double> copy_bytes_per_second;
};

/// One run.
struct Report {
  Environment environment;
  std::vector<Row> rows;

  /// Rows, and all of them good.
  [[nodiscard]] bool good() const noexcept;
};

[[nodiscard]] nlohmann::json to_json(const Report& report);
/// Errors: Errc::kMalformed, also for another schema.
[[nodiscard]] Result<Report> report_from_json(const nlohmann::json& json);
/// From a file. Errors: those of reading it, and the above, naming the file.
[[nodiscard]] Result<Report> read_report(const std::string& path);

/// Whether the reports may share a table: hardware and emulation never do.
/// Errors: std::errc::invalid_argument, naming the devices.
Result<void> check_comparable(const std::vector<Report>& reports);

}  // namespace peermr::tool
