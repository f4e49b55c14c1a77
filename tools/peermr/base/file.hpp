// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>

#include "peermr/result.hpp"

namespace peermr::tool {

/// A whole small file (sysfs, procfs, JSON), at most 64 MiB. Errors: the errno of opening or
/// reading it.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

/// As read_file, without blanks and line ends at its end; empty when it cannot be read.
[[nodiscard]] std::string read_line_or_empty(const std::string& path);

/// Replaces the file's content. Errors: the errno of creating or writing it.
Result<void> write_file(const std::string& path, std::string_view content);

/// Writes to a file that exists, in one write(2), as the control files of tracefs and sysfs want
/// it. With `append` the file is opened O_APPEND: tracefs empties a control file that isn't.
Result<void> write_control(const std::string& path, std::string_view content, bool append);

}  // namespace peermr::tool
