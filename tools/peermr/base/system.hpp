// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "peermr/topology.hpp"

namespace peermr::tool {

/// /sys, /proc and /dev, or what SYSFS_PATH says in place of /sys, as libibverbs has it.
[[nodiscard]] SystemPaths system_paths();

}  // namespace peermr::tool
