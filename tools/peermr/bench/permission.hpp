// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "bench/target_spec.hpp"
#include "peermr/topology.hpp"
#include "peermr/vfio.hpp"

namespace peermr::tool {

/// The part of a BAR that `spec` allows to overwrite. A BAR is not scratch space: somebody must
/// have said which part of it may be used, and that it holds no registers.
///
/// Errors: std::errc::invalid_argument when there is no such memory BAR;
/// std::errc::operation_not_permitted for what is refused for safety, with the option that allows
/// it.
[[nodiscard]] Result<vfio::BarRange> permitted_range(const Topology& topology,
                                                     const TargetSpec& spec, bool allow_registers);

}  // namespace peermr::tool
