// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "topo/view.hpp"

namespace peermr::tool {

/// The document of `peermr topo --json`, schema "peermr-topo/1": docs/man/peermr-topo.1.
[[nodiscard]] nlohmann::json to_json(const TopoView& view);

}  // namespace peermr::tool
