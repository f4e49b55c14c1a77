// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/exit_code.hpp"
#include "bench/options.hpp"

namespace peermr::tool {

/// Adds `bench` and `bench report` to the command line; the result of what was chosen goes to
/// `status`.
void add_bench_command(CLI::App& app, int& status);

/// Measures, prints and writes what the options say. Errors go to standard error.
[[nodiscard]] ExitCode run_bench(const BenchOptions& options);

/// Prints the reports in `paths` as one; writes them to `json_path` unless it is empty.
[[nodiscard]] ExitCode run_bench_report(const std::vector<std::string>& paths,
                                        const std::string& json_path);

}  // namespace peermr::tool
