// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "peermr/bdf.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::vfio {

/// A VFIO device by its character device. The iommufd outlives the device's descriptor.
struct CdevDevice {
  UniqueFd iommufd;
  UniqueFd device;
};

/// Path of the device's node, "/dev/vfio/devices/vfio0"; empty when the kernel made none for it.
[[nodiscard]] std::string cdev_path(const Bdf& bdf, const SystemPaths& paths);

/// Opens the node, binds it to an iommufd of its own, and gives it an empty address space, as
/// opening by a group does. `vf_token`: empty, or a UUID.
///
/// Errors: std::errc::not_supported when there is no node, with the kernel options that it takes;
/// Errc::kMalformed (token); EBUSY (its group is open), EACCES, what the ioctls return.
[[nodiscard]] Result<CdevDevice> open_cdev(const Bdf& bdf, const std::string& vf_token,
                                           const SystemPaths& paths);

}  // namespace peermr::vfio
