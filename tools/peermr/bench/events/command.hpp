// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <CLI/CLI.hpp>

#include "base/exit_code.hpp"
#include "bench/events/options.hpp"

namespace peermr::tool {

/// Adds `events` to `bench`; the result goes to `status`.
void add_events_command(CLI::App& bench, int& status);

/// Measures, prints and writes what the options say. Errors go to standard error.
[[nodiscard]] ExitCode run_events(const EventsOptions& options);

}  // namespace peermr::tool
