// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <CLI/CLI.hpp>

namespace peermr::tool {

// Each adds a subcommand to the command line; its result goes to `status`.

/// `vend`: owns a device, and lends slices of a BAR for a time.
void add_vend_command(CLI::App& app, int& status);
/// `borrow`: borrows a slice, for a command or until a signal.
void add_borrow_command(CLI::App& app, int& status);

}  // namespace peermr::tool
