// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "peermr/unique_fd.hpp"
#include "peermr/vfio.hpp"
#include "vfio/container.hpp"
#include "vfio/memory_events.hpp"

namespace peermr::vfio {

struct Device::Impl {
  PciDevice pci;  ///< as it was when opened
  std::string name;
  // In this order: the descriptor goes first, then its group, then the container.
  std::shared_ptr<Container> container;
  std::shared_ptr<Group> group;
  UniqueFd fd;
  std::uint64_t config_offset = 0;  ///< of the configuration space within the descriptor
  bool can_reset = false;
  std::shared_ptr<detail::MemoryEvents> events = std::make_shared<detail::MemoryEvents>();
  // Held during reset(), set_memory_enabled() and close(): they revoke, and revokes of one device
  // exclude each other.
  std::mutex transition;

  /// Finds the configuration space and turns memory decode on. Called once.
  Result<void> init();

  [[nodiscard]] Result<std::uint16_t> read_config16(std::uint16_t offset) const;
  Result<void> write_config16(std::uint16_t offset, std::uint16_t value) const;
  [[nodiscard]] Result<bool> memory_enabled() const;
  Result<void> write_memory_enabled(bool enabled) const;
  /// VFIO_DEVICE_RESET, tried again while the device is locked by somebody else.
  Result<void> reset_function() const;
};

}  // namespace peermr::vfio
