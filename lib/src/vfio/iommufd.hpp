// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>

#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::vfio {

/// Errors: ENOENT with the remedy when there is none; EACCES.
[[nodiscard]] Result<UniqueFd> open_iommufd(const SystemPaths& paths);

/// A new, empty one for `name`, which appears in messages; its number within the iommufd.
[[nodiscard]] Result<std::uint32_t> make_address_space(const UniqueFd& iommufd,
                                                       const std::string& name);

}  // namespace peermr::vfio
