// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <CLI/CLI.hpp>

namespace peermr::tool {

/// Adds `doctor` to the command line; its result goes to `status`.
void add_doctor_command(CLI::App& app, int& status);

}  // namespace peermr::tool
