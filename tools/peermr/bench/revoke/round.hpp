// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "bench/rdma_device.hpp"
#include "bench/write_verifier.hpp"
#include "peermr/vfio.hpp"

namespace peermr::tool {

/// What a buffer goes through, in this order.
enum class Phase : std::size_t {
  kExport,   ///< a dma-buf is made
  kMap,      ///< it is registered, which maps it
  kRevoke,   ///< memory decode is turned off: all buffers at once
  kRestore,  ///< and on again
  kAccess,   ///< first RDMA write after that, to each buffer, which maps it again
  kRelease,  ///< deregistered and closed
};
inline constexpr std::size_t kPhases = 6;

/// "export", "map", "revoke", "restore", "access", "release".
[[nodiscard]] std::string_view to_string(Phase phase) noexcept;

/// Microseconds that each phase took for all buffers together.
using PhaseTimes = std::array<double, kPhases>;

/// Takes `buffers` dma-bufs of `range` through all phases. They share the range out among
/// themselves, in whole pages; if there are more buffers than pages, they overlap. The first write
/// to each buffer after the restore is compared by the CPU.
///
/// Errors: of any step; std::errc::io_error when data was wrong, or when a buffer could be written
/// to.
[[nodiscard]] Result<PhaseTimes> run_round(const BenchDevice& importer, WriteVerifier& verifier,
                                           vfio::Device& device, BarIndex bar, vfio::BarRange range,
                                           std::uint32_t buffers);

}  // namespace peermr::tool
