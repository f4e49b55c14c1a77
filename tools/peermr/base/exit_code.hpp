// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "peermr/error.hpp"

namespace peermr::tool {

/// Exit statuses of all subcommands, as --help and the man pages state them.
enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,      ///< something failed, or data was wrong
  kUsage = 2,        ///< the command line
  kUnsupported = 3,  ///< this machine, path or driver does not do it, or it was refused for safety
};

/// kUnsupported for errors that no retry changes because kernel, driver or wiring say no, else
/// kFailure.
[[nodiscard]] ExitCode exit_code_for(const Error& error) noexcept;

/// For --help.
inline constexpr const char* kExitCodeHelp =
    "Exit status: 0 done, 1 failed (or data was wrong), 2 bad command line,\n"
    "3 not supported on this machine or path, or refused for safety.";

/// Writes "peermr: <message>" to standard error, with a line break before what does not fit well.
ExitCode report_error(const Error& error);

}  // namespace peermr::tool
