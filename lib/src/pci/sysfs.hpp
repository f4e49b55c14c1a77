// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "peermr/result.hpp"

namespace peermr {

/// The content of a file, `limit` bytes at most: attributes of sysfs are small, and a wrong path
/// must not read a disk. Errors: the errno of open(2) or read(2).
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t limit = 65536);

/// read_file() without white space at both ends.
[[nodiscard]] Result<std::string> read_attribute(const std::string& path);

/// The last component of what a symbolic link points to: how sysfs names a device's driver or
/// group. Nothing when there is no such link.
[[nodiscard]] std::optional<std::string> link_name(const std::string& path);

/// Names in a directory without "." and "..", sorted. Errors: the errno of opening it.
[[nodiscard]] Result<std::vector<std::string>> list_directory(const std::string& path);

}  // namespace peermr
