// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "bench/rdma_device.hpp"
#include "bench/write_verifier.hpp"
#include "peermr/monitor.hpp"
#include "peermr/vfio.hpp"

namespace peermr::tool {

/// What a reset of a device means for the regions on its memory, in this order.
enum class RecoverPhase : std::size_t {
  kQuiesce,   ///< their keys are taken away
  kReset,     ///< what the kernel and the device take for it
  kWait,      ///< until the memory can be mapped
  kRegister,  ///< registering again, or probing: in libibverbs, kernel and RDMA device
  kLibrary,   ///< the same: in the library
  kWrite,     ///< the first RDMA write to each, read back and compared
};
inline constexpr std::size_t kRecoverPhases = 6;

/// "quiesce", "reset", "wait", "register", "library", "write".
[[nodiscard]] std::string_view to_string(RecoverPhase phase) noexcept;

/// Who registers again.
enum class RecoverKind {
  kPlain,   ///< the program itself, with the calls of libibverbs that the library makes too
  kStable,  ///< the library, KeyPolicy::kStable
  kFresh,   ///< the library, KeyPolicy::kFresh
};

/// "plain", "stable", "fresh".
[[nodiscard]] std::string_view to_string(RecoverKind kind) noexcept;
[[nodiscard]] std::optional<RecoverKind> parse_recover_kind(std::string_view text) noexcept;

/// Microseconds that each phase took for all regions together.
using RecoverTimes = std::array<double, kRecoverPhases>;

/// From the reset's return until the last region has been written: all phases from kWait on.
[[nodiscard]] double after_reset(const RecoverTimes& times) noexcept;

/// What takes part.
struct RecoverBench {
  const BenchDevice& importer;
  WriteVerifier& verifier;
  vfio::Device& device;
  BarIndex bar;
  vfio::BarRange range;
  const Monitor* monitor;  ///< null: none
};

/// Whether the library makes regions of this kind here. Errors: of making one, but for
/// std::errc::not_supported.
[[nodiscard]] Result<bool> possible(const RecoverBench& bench, RecoverKind kind);

/// Makes `regions` regions of that kind, each of a dma-buf of its own and all over `bench.range`,
/// writes to them, resets the device, and writes to them again. The data of all writes is compared.
///
/// Errors: of any step; std::errc::io_error when data was wrong; Errc::kRevoked when a region did
/// not come back.
[[nodiscard]] Result<RecoverTimes> recover_once(const RecoverBench& bench, RecoverKind kind,
                                                std::uint32_t regions);

}  // namespace peermr::tool
