// SPDX-License-Identifier: BSD-2-Clause
//
// peermr: what this machine can do between RDMA devices and the memory of PCI devices, and how
// fast.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <exception>

#include "base/exit_code.hpp"
#include "bench/commands.hpp"
#include "doctor/command.hpp"
#include "share/commands.hpp"
#include "topo/command.hpp"
#include "vend/commands.hpp"

int main(int argc, char** argv) {
  using namespace peermr::tool;
  CLI::App app("RDMA to the memory of PCI devices: measure it, see its paths, find what is missing",
               "peermr");
  app.set_version_flag("--version", "peermr " PEERMR_VERSION);
  app.require_subcommand(1);
  app.footer(kExitCodeHelp);
  int status = kFailure;
  add_bench_command(app, status);
  add_topo_command(app, status);
  add_doctor_command(app, status);
  add_export_command(app, status);
  add_watch_command(app, status);
  add_control_commands(app, status);
  add_vend_command(app, status);
  add_borrow_command(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSuccess : kUsage;
  } catch (const std::exception& error) {  // out of memory and the like
    fmt::print(stderr, "peermr: {}\n", error.what());
    return kFailure;
  }
  return status;
}
