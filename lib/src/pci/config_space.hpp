// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "peermr/topology.hpp"

namespace peermr {

/// A PCI configuration space as far as it could be read: without privileges that is 64 bytes.
/// Everything it says is untrusted: a device that is asleep or broken reads as all ones.
class ConfigSpace {
 public:
  /// `bytes` is borrowed. `full_size_bytes` is what the function has: 256, or 4096 with extended
  /// configuration space.
  ConfigSpace(std::string_view bytes, std::size_t full_size_bytes) noexcept
      : bytes_(bytes), full_size_bytes_(full_size_bytes) {}

  [[nodiscard]] bool is_bridge() const noexcept;
  [[nodiscard]] PcieType pcie_type() const noexcept;
  [[nodiscard]] Acs acs() const noexcept;
  /// Where the power management control and status register is; none: there is none, or it cannot
  /// be seen.
  [[nodiscard]] std::optional<std::uint16_t> power_control() const noexcept;

 private:
  [[nodiscard]] std::optional<std::uint8_t> read8(std::size_t offset) const noexcept;
  [[nodiscard]] std::optional<std::uint16_t> read16(std::size_t offset) const noexcept;
  [[nodiscard]] std::optional<std::uint32_t> read32(std::size_t offset) const noexcept;
  [[nodiscard]] bool absent() const noexcept;
  /// Of a capability in the first 256 bytes. 0: there is none; nothing: it cannot be told.
  [[nodiscard]] std::optional<std::size_t> find_capability(std::uint8_t id) const noexcept;

  std::string_view bytes_;
  std::size_t full_size_bytes_;
};

}  // namespace peermr
