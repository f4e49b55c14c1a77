// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "bench/write_verifier.hpp"
#include "peermr/result.hpp"
#include "peermr/vfio.hpp"

namespace peermr::tool {

/// `count` parts of `range`, each of whole pages and as large as the others. If there are more than
/// pages, they overlap.
[[nodiscard]] std::vector<vfio::BarRange> share_out(vfio::BarRange range, std::uint32_t count);

/// An address of a slice's own at which to register it, so that no write is right by accident.
[[nodiscard]] std::uint64_t slice_address(std::size_t index) noexcept;

/// Compares by the CPU what `verifier` has just written to the slices of `range`, one after the
/// other. Of slices that overlap those are compared that nobody wrote over.
/// Errors: std::errc::io_error, those of mapping the BAR.
Result<void> verify_slices(const vfio::Device& device, BarIndex bar, vfio::BarRange range,
                           const std::vector<vfio::BarRange>& slices,
                           const WriteVerifier& verifier);

}  // namespace peermr::tool
