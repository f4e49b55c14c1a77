// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "peermr/vfio.hpp"

namespace peermr::tool {

/// Exports a page of the device's memory through the kernel's own exporter and has iommufd map it,
/// into an address space that no device uses. What came of it, as a clause: "iommufd maps its
/// delegated buffers".
[[nodiscard]] std::string try_iommufd(const vfio::Device& device);

}  // namespace peermr::tool
