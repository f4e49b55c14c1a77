// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/vfio.hpp"

namespace peermr::vfio {

/// "0000:04:00.0 BAR 2"
[[nodiscard]] std::string bar_name(const Bdf& bdf, BarIndex bar);

/// The commands, as root, that give `device` to `driver`.
[[nodiscard]] std::string how_to_bind(const PciDevice& device, std::string_view driver);

/// Whether `device` can be opened, as far as sysfs tells: it exists, has an IOMMU group, and a VFIO
/// driver has it. Returns the group's number. Errors: see Device::open().
[[nodiscard]] Result<unsigned> check_bound_to_vfio(const Topology& topology, const Bdf& bdf,
                                                   const SystemPaths& paths);

/// Why the kernel calls the group not viable: names the devices that host drivers have.
[[nodiscard]] Error not_viable_error(const Topology& topology, const Bdf& bdf, unsigned group,
                                     const SystemPaths& paths);

/// Whether `ranges` can be exported or mapped from a BAR. `operation` begins the error's message.
/// `bar` is null when the device has no such BAR. Returns the sum of the lengths.
/// Errors: std::errc::invalid_argument with what is wrong.
[[nodiscard]] Result<std::uint64_t> check_ranges(std::string_view operation,
                                                 const std::string& name, const Bar* bar,
                                                 std::span<const BarRange> ranges,
                                                 std::uint64_t page_bytes);

}  // namespace peermr::vfio
