// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "peermr/vfio.hpp"

namespace peermr::tool {

/// OFFSET:LENGTH in bytes or with K, M, G or T; "all" as a length gives 0. Errors:
/// Errc::kMalformed.
[[nodiscard]] Result<vfio::BarRange> parse_range(const std::string& text);

}  // namespace peermr::tool
