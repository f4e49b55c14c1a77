// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "peermr/topology.hpp"
#include "peermr/verbs.hpp"

namespace peermr::tool {

enum class Level { kOk, kWarn, kFail };

/// "OK", "WARN", "FAIL".
[[nodiscard]] std::string_view to_string(Level level) noexcept;

struct Check {
  Level level = Level::kOk;
  std::string subject;  ///< "kernel", "0000:04:00.0"
  std::string finding;
  std::string remedy;  ///< empty when nothing needs to be done
};

/// What the checks look at.
struct Machine {
  SystemPaths paths;
  Topology topology;
  std::vector<verbs::RdmaDevice> rdma;
  std::string kernel;  ///< release
};

/// Errors: as Topology::read() and verbs::list_devices().
[[nodiscard]] Result<Machine> examine(const SystemPaths& paths);

/// Whether a kernel release such as "7.2.12+deb13-amd64" is at least `major`.`minor`; false for
/// text that isn't one.
[[nodiscard]] bool release_at_least(std::string_view release, unsigned major, unsigned minor);

/// Value of an option in the text of a kernel configuration: "y", "m", "n" (also for "is not set"),
/// empty when it is not mentioned.
[[nodiscard]] std::string config_value(std::string_view config, std::string_view option);

/// Kernel version and configuration, modules, limits and permissions.
[[nodiscard]] std::vector<Check> check_system(const Machine& machine);
/// RDMA devices: whether there are any, how they import, whether they can be opened.
[[nodiscard]] std::vector<Check> check_rdma(const Machine& machine);
/// IOMMU, and the devices that VFIO or peermr_bar has, with their exporters.
[[nodiscard]] std::vector<Check> check_vfio(const Machine& machine);

struct Pairs {
  std::vector<Check> checks;
  bool possible = false;  ///< for at least one
};
/// Every device of check_vfio() with every RDMA device: path and importer together.
[[nodiscard]] Pairs check_pairs(const Machine& machine);

/// Opens one device (which resets it) and asks whether it exports dma-bufs.
[[nodiscard]] Check probe_device(const Bdf& bdf);

}  // namespace peermr::tool
