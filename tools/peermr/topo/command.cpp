// SPDX-License-Identifier: BSD-2-Clause
#include "topo/command.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/exit_code.hpp"
#include "base/system.hpp"
#include "topo/json.hpp"
#include "topo/view.hpp"

namespace peermr::tool {
namespace {

struct TopoOptions {
  bool all = false;
  bool json = false;
  std::string root;
};

// A copy of a machine holds sys and proc; a copy of sysfs alone says nothing about the CPU.
SystemPaths paths_under(const std::string& root) {
  if (root.empty()) return system_paths();
  const auto exists = [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; };
  if (!exists(root + "/sys")) return {root, root + "/proc", "/dev"};
  return {root + "/sys", root + "/proc", "/dev"};
}

void print_text(const TopoView& view) {
  fmt::print("{}", format_tree(view));
  const std::string matrix = format_matrix(view);
  if (!matrix.empty()) {
    fmt::print("\n{}", matrix);
    return;
  }
  fmt::print("\nNo path to show: {}\n",
             view.rdma.empty() ? "there is no RDMA device"
                               : "there is no prefetchable memory BAR on another device (--all "
                                 "shows the others)");
}

ExitCode run_topo(const TopoOptions& options) {
  const SystemPaths paths = paths_under(options.root);
  auto topology = Topology::read(paths);
  if (!topology) return report_error(topology.error());
  auto rdma = verbs::list_devices(paths);
  if (!rdma) return report_error(rdma.error());
  const TopoView view{*topology, *rdma, options.all};
  if (options.json) {
    fmt::print("{}\n", to_json(view).dump(2));
  } else {
    print_text(view);
  }
  return kSuccess;
}

}  // namespace

void add_topo_command(CLI::App& app, int& status) {
  CLI::App* topo = app.add_subcommand(
      "topo", "show PCI devices, and the path from each RDMA device to each BAR");
  auto options = std::make_shared<TopoOptions>();
  topo->add_flag("-a,--all", options->all, "all devices and memory BARs");
  topo->add_flag("--json", options->json, "as JSON");
  topo->add_option("--sysfs", options->root,
                   "a copy of another machine's tree: a folder with sys and proc in it, or sysfs");
  topo->footer(kExitCodeHelp);
  topo->callback([options, &status] { status = run_topo(*options); });
}

}  // namespace peermr::tool
