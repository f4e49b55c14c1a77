// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "bench/endpoint.hpp"
#include "bench/host_memory.hpp"
#include "bench/rdma_device.hpp"

namespace peermr::tool {

/// Writes to registered memory through the RDMA device and reads back; and compares what the CPU
/// finds there. The device must outlive it. Moves, not thread-safe.
class WriteVerifier {
 public:
  static constexpr std::uint64_t kBytes = 512;  ///< of each write

  /// Errors: as Endpoint and HostMemory.
  [[nodiscard]] static Result<WriteVerifier> create(const BenchDevice& device);

  /// Writes a pattern that no earlier write had to the first bytes of a region and reads it back.
  /// Errors: std::errc::io_error with the completion's status, or when other data came back;
  /// std::errc::timed_out.
  Result<void> write(std::uint64_t address, std::uint32_t rkey);

  /// Whether `words` begin with what write() wrote `ago` calls before the last one.
  [[nodiscard]] bool found_in(Words words, std::uint64_t ago) const noexcept;

 private:
  WriteVerifier(Endpoint here, Endpoint there, HostMemory memory);
  Result<void> complete(ibv_send_wr& wr);

  Endpoint here_;
  Endpoint there_;
  HostMemory memory_;
  std::uint64_t seed_;
  std::uint64_t written_ = 0;
};

}  // namespace peermr::tool
