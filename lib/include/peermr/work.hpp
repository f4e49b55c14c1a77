// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <string_view>

#include "peermr/descriptor.hpp"
#include "peermr/export.hpp"
#include "peermr/region.hpp"
#include "peermr/types.hpp"

namespace peermr {

enum class Operation : std::uint8_t {
  kWrite,
  kWriteWithImmediate,
  kRead,
  kSend,
  kSendWithImmediate,
  kFetchAdd,
  kCompareSwap,
  kPlace,    ///< success: all earlier WRITEs of the connection to this region are in its memory
  kReceive,  ///< in completions only
};

/// "write", "send with immediate", "place".
[[nodiscard]] PEERMR_API std::string_view to_string(Operation operation) noexcept;

/// SEND, SEND with immediate, WRITE with immediate: each takes one receive of the peer's.
[[nodiscard]] constexpr bool takes_receive(Operation operation) noexcept {
  return operation == Operation::kSend || operation == Operation::kSendWithImmediate ||
         operation == Operation::kWriteWithImmediate;
}
[[nodiscard]] constexpr bool is_atomic(Operation operation) noexcept {
  return operation == Operation::kFetchAdd || operation == Operation::kCompareSwap;
}
[[nodiscard]] constexpr bool is_write(Operation operation) noexcept {
  return operation == Operation::kWrite || operation == Operation::kWriteWithImmediate;
}
/// Whether it names memory of the peer's.
[[nodiscard]] constexpr bool names_region(Operation operation) noexcept {
  return operation != Operation::kSend && operation != Operation::kSendWithImmediate &&
         operation != Operation::kReceive;
}

/// Memory of this side: of an MR that the application holds, or of a Region, whose key of the
/// moment is used.
struct LocalMemory {
  const Region* region = nullptr;  ///< borrowed until the work is completed
  Lkey lkey = {};                  ///< without a region
  std::uint64_t address = 0;       ///< with a region: the offset within it
  std::uint32_t length_bytes = 0;

  [[nodiscard]] static LocalMemory of(Lkey lkey, const void* address,
                                      std::uint32_t length_bytes) noexcept {
    return {.lkey = lkey,
            .address = reinterpret_cast<std::uintptr_t>(address),
            .length_bytes = length_bytes};
  }
  [[nodiscard]] static LocalMemory of(const Region& region, std::uint64_t offset_bytes,
                                      std::uint32_t length_bytes) noexcept {
    return {.region = &region, .address = offset_bytes, .length_bytes = length_bytes};
  }
};

/// Work for an RcConnection. The peer's memory is named by region and offset: a repetition goes to
/// where the region is then, with the key of then.
struct WorkRequest {
  Operation operation = Operation::kWrite;
  std::uint64_t id = 0;  ///< comes back in the completion
  RegionId region = {};
  std::uint64_t offset_bytes = 0;  ///< within the region; aligned to 8 for atomics
  LocalMemory local = {};       ///< 8 bytes for atomics, which get the old value; none for kPlace
  std::uint32_t immediate = 0;  ///< in host byte order
  std::uint64_t operand = 0;    ///< atomics: what to add, or to put
  std::uint64_t compare = 0;    ///< kCompareSwap: if this is there
};

enum class CompletionStatus : std::uint8_t {
  kSuccess,
  /// It cannot be done, or was tried often enough: wc_status says why.
  kFailed,
  /// The region has a new generation. The work was not acknowledged in it and is not repeated, or,
  /// for kPlace, earlier acknowledged WRITEs may be gone.
  kNewGeneration,
  /// The region is dead.
  kRegionDead,
  /// Behind one that failed, and not executed, for certain.
  kFlushed,
  /// It may have been executed, or not: atomics and WRITEs that an error overtook; all that was on
  /// its way when the connection ended.
  kOutcomeUnknown,
};

/// "success", "new generation".
[[nodiscard]] PEERMR_API std::string_view to_string(CompletionStatus status) noexcept;

/// How work ended. Each piece of work has one.
struct Completion {
  std::uint64_t id = 0;
  Operation operation = Operation::kWrite;
  CompletionStatus status = CompletionStatus::kSuccess;
  ibv_wc_status wc_status = IBV_WC_SUCCESS;  ///< for kFailed
  /// The generation of the region as this side knew it when the work was posted for the last time:
  /// it was acknowledged in this one or in a later one.
  Generation generation = {};
  std::uint32_t length_bytes = 0;  ///< of a received message
  bool has_immediate = false;      ///< of a received message
  std::uint32_t immediate = 0;     ///< in host byte order
};

}  // namespace peermr
