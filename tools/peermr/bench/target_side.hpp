// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/endpoint.hpp"
#include "bench/pattern.hpp"
#include "peermr/result.hpp"

namespace peermr::tool {

/// A piece of registered memory, as the initiator needs to know it.
struct TargetInfo {
  std::string name;  ///< "host memory", "0000:04:00.0 BAR 4"
  bool host = true;
  std::uint64_t length_bytes = 0;
  std::uint64_t address = 0;  ///< for work requests
  std::uint32_t rkey = 0;
  std::string predicted;  ///< path between device and memory; empty for host memory
  std::string reason;
  std::string kernel;  ///< the kernel's verdict; empty: not asked
};

enum class Fill { kPattern, kPoison };

/// The end of a row that owns the target memory: in this process, or in another behind a socket.
/// Not thread-safe. Everything may block for as long as memory takes to be filled or compared.
class TargetSide {
 public:
  virtual ~TargetSide() = default;

  [[nodiscard]] virtual const std::vector<TargetInfo>& targets() const noexcept = 0;
  /// "pnic1".
  [[nodiscard]] virtual const std::string& device_name() const noexcept = 0;

  /// Makes a queue pair that takes the place of the one before, connects it to `initiator`, and
  /// returns its address.
  [[nodiscard]] virtual Result<QpAddress> connect(const QpAddress& initiator) = 0;

  /// Fills the slots of target number `target`, by the CPU.
  virtual Result<void> fill(std::size_t target, const Layout& layout, std::uint64_t seed,
                            Fill what) = 0;

  /// Compares the slots, by the CPU and not through the RDMA device.
  [[nodiscard]] virtual Result<std::optional<Mismatch>> verify(std::size_t target,
                                                               const Layout& layout,
                                                               std::uint64_t seed) = 0;

  /// For SENDs: keeps `count` receives posted, slot after slot, from now until the next connect().
  virtual Result<void> start_receives(std::size_t target, const Layout& layout,
                                      std::uint32_t count) = 0;
  /// Posts again what was received; to be called often. Returns how many messages came in all.
  virtual Result<std::uint64_t> service_receives() = 0;
};

}  // namespace peermr::tool
