// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "peermr/topology.hpp"

namespace peermr {

/// Reads one device from its folder in sysfs. What cannot be read is noted in
/// PciDevice::problems.
[[nodiscard]] PciDevice read_pci_device(const std::string& folder, const Bdf& bdf);

}  // namespace peermr
