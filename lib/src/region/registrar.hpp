// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>

#include "peermr/dma_buf.hpp"
#include "peermr/region.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"
#include "peermr/verbs.hpp"

namespace peermr::detail {

/// A memory region as the RDMA device knows it. `handle` is the Registrar's.
struct Registration {
  void* handle = nullptr;
  Lkey lkey;
  Rkey rkey;
};

/// Registers one part of one dma-buf with one protection domain, as often as asked. The seam
/// between the logic of a region and libibverbs. Functions block, and are called by one thread at a
/// time.
///
/// Errors have meanings that the region acts on:
///   Errc::kRevoked                 not now; worth trying again
///   std::errc::invalid_argument    a race with a restore, or a bad request: try again, not for
///   long anything else                  trying again is no use
class Registrar {
 public:
  virtual ~Registrar() = default;

  [[nodiscard]] virtual Result<Registration> add() = 0;
  /// The key is free for reuse afterwards, even on an error.
  virtual Result<void> remove(const Registration& registration) = 0;
  /// Whether the memory can be mapped at this moment.
  virtual Result<void> probe() = 0;
  [[nodiscard]] virtual const verbs::RdmaDevice& importer() const noexcept = 0;
  /// Whether a key gives no access after a revoke, once the next one is made and for ever.
  [[nodiscard]] virtual bool ends_keys() const noexcept = 0;
  /// Whether add() makes sure of that by itself, even when there was no revoke.
  [[nodiscard]] virtual bool ends_keys_unrevoked() const noexcept = 0;
  /// How much of the functions' time was spent in libibverbs and the kernel, so far.
  [[nodiscard]] virtual std::chrono::nanoseconds in_kernel() const noexcept = 0;
};

/// Whether an error of add() or probe() may be gone the next time.
[[nodiscard]] inline bool worth_another_attempt(const Error& error) {
  return error.code() == Errc::kRevoked ||
         error.code() == std::error_code(EINVAL, std::generic_category());
}

/// What a VerbsRegistrar registers.
struct RegistrationRequest {
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  Iova address;
  int access = 0;
};

/// The real one. Borrows `pd`; keeps `buffer` open. For fresh keys it registers, where that takes
/// it, other buffers of the same memory, each once.
[[nodiscard]] std::unique_ptr<Registrar> make_verbs_registrar(ibv_pd* pd, DmaBuf buffer,
                                                              const RegistrationRequest& request,
                                                              KeyPolicy keys,
                                                              const SystemPaths& paths);

}  // namespace peermr::detail
