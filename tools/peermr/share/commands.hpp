// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <CLI/CLI.hpp>

namespace peermr::tool {

// Each adds a subcommand to the command line; its result goes to `status`.

/// `export`: owns a device, and lends a part of its memory to others.
void add_export_command(CLI::App& app, int& status);
/// `watch`: shows every invalidate of a buffer.
void add_watch_command(CLI::App& app, int& status);
/// `revoke`, `rearm`, `query`: ask the process that exports.
void add_control_commands(CLI::App& app, int& status);

}  // namespace peermr::tool
