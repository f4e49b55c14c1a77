// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/pattern.hpp"
#include "bench/rdma_device.hpp"
#include "peermr/result.hpp"

namespace peermr::tool {

/// Page-aligned host memory, registered for everything a row does with it. Moves; the device must
/// outlive it.
class HostMemory {
 public:
  /// Errors: the errno of allocating or registering, with the memory-lock limit as remedy.
  [[nodiscard]] static Result<HostMemory> create(const BenchDevice& device,
                                                 std::uint64_t size_bytes);

  [[nodiscard]] std::uint64_t address() const noexcept {
    return reinterpret_cast<std::uint64_t>(memory_.get());
  }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return memory_.get_deleter().size; }
  [[nodiscard]] std::uint32_t lkey() const noexcept { return mr_->lkey; }
  [[nodiscard]] std::uint32_t rkey() const noexcept { return mr_->rkey; }
  [[nodiscard]] Words words() const noexcept {
    return {static_cast<std::uint64_t*>(memory_.get()), size_bytes() / sizeof(std::uint64_t)};
  }

 private:
  struct Unmap {
    std::size_t size;
    void operator()(void* address) const noexcept;
  };

  std::unique_ptr<void, Unmap> memory_{nullptr, Unmap{0}};
  UniqueMr mr_;  // deregistered before its memory goes
};

}  // namespace peermr::tool
