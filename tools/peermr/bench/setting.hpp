// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "bench/rdma_device.hpp"
#include "bench/report.hpp"
#include "peermr/topology.hpp"
#include "peermr/verbs.hpp"

namespace peermr::tool {

/// What the cost of revokes was measured with.
struct Setting {
  std::string label;
  std::string kernel;  ///< release
  ReportDevice importer;
  verbs::ImporterClass importer_class = verbs::ImporterClass::kUnknown;
  std::string path;  ///< predicted
};

[[nodiscard]] Setting describe_setting(const std::string& label, const Topology& topology,
                                       const Bdf& exporter, const BenchDevice& importer);

/// An object with the members `label`, `kernel`, `importer` and `path`.
[[nodiscard]] nlohmann::json to_json(const Setting& setting);

/// " (switch): importer pnic0 (emulated), path bus address, Linux 7.2.12"
[[nodiscard]] std::string describe(const Setting& setting);

/// `name`, or the first RDMA device when it is empty. Errors: as rdma_device_names().
[[nodiscard]] Result<std::string> importer_name(const std::string& name);

/// Allows this process so many files beyond what it has open; each buffer is one. Errors: errno of
/// setrlimit().
Result<void> allow_files(std::uint64_t count);

}  // namespace peermr::tool
