// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <CLI/CLI.hpp>

#include "base/exit_code.hpp"
#include "bench/recover/options.hpp"

namespace peermr::tool {

/// Adds `recover` to `bench`; the result goes to `status`.
void add_recover_command(CLI::App& bench, int& status);

/// Measures, prints and writes what the options say. Errors go to standard error.
[[nodiscard]] ExitCode run_recover(const RecoverOptions& options);

}  // namespace peermr::tool
