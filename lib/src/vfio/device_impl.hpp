// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "peermr/vfio.hpp"
#include "vfio/backend.hpp"
#include "vfio/memory_events.hpp"

namespace peermr::vfio {

struct Device::Impl {
  PciDevice pci;  ///< as it was when opened
  std::string name;
  std::unique_ptr<Backend> backend;
  ExporterFeatures features;
  std::shared_ptr<peermr::detail::MemoryEvents> events =
      std::make_shared<peermr::detail::MemoryEvents>();
  // Held during reset(), set_memory_enabled(), revoke(), rearm() and close(): they revoke or
  // restore, and exclude each other for one device.
  std::mutex transition;

  /// Asks `opened` for its features.
  Impl(PciDevice device, std::unique_ptr<Backend> opened);
};

}  // namespace peermr::vfio
