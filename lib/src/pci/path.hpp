// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "peermr/topology.hpp"

namespace peermr {

/// Topology::predict() for devices that are there.
[[nodiscard]] PathPrediction predict_path(const Topology& topology, const PciDevice& provider,
                                          const PciDevice& client);

}  // namespace peermr
