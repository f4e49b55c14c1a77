// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>

#include "bench/host_memory.hpp"
#include "bench/rdma_device.hpp"
#include "bench/row.hpp"
#include "bench/target_side.hpp"

namespace peermr::tool {

/// What is to be done for each row.
struct RowPlan {
  Operation operation = Operation::kWrite;
  std::uint64_t size_bytes = 0;
  std::uint32_t depth = 32;
  std::chrono::nanoseconds duration = std::chrono::seconds(1);
  std::uint64_t iterations = 0;  ///< instead of the duration, when not 0
  std::uint64_t latency_samples = 1000;
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  std::uint64_t room_bytes = 0;  ///< memory that the messages are spread over
};

/// The end of a row that posts. Moves; device and target side must outlive it.
class Initiator {
 public:
  /// Allocates the local buffer. Errors: as HostMemory::create().
  [[nodiscard]] static Result<Initiator> create(const BenchDevice& device, TargetSide& target,
                                                std::uint64_t room_bytes);

  /// Measures bandwidth, then latency, each over memory that was poisoned before and is compared
  /// afterwards. Blocks for about twice the duration. Errors are in the row.
  [[nodiscard]] Row run(std::size_t target, const RowPlan& plan);

  [[nodiscard]] TargetSide& target_side() const noexcept { return *target_; }
  [[nodiscard]] const BenchDevice& device() const noexcept { return *device_; }

 private:
  Initiator(const BenchDevice& device, TargetSide& target, HostMemory buffer) noexcept
      : device_(&device), target_(&target), buffer_(std::move(buffer)) {}

  struct Work;
  Result<void> measure(Work& work);
  Result<void> measure_bandwidth(Work& work);
  Result<void> measure_latency(Work& work);
  Result<void> poison(const Work& work);
  /// False when data was wrong: the row says so.
  Result<bool> verify(Work& work, std::uint64_t messages);

  const BenchDevice* device_;
  TargetSide* target_;
  HostMemory buffer_;
};

}  // namespace peermr::tool
