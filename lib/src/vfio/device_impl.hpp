// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>

#include "peermr/vfio.hpp"
#include "vfio/backend.hpp"
#include "vfio/backend_link.hpp"
#include "vfio/memory_events.hpp"

namespace peermr::vfio {

struct Device::Impl {
  PciDevice pci;  ///< as it was when opened
  std::string name;
  std::unique_ptr<Backend> backend;
  ExporterFeatures features;
  std::shared_ptr<peermr::detail::MemoryEvents> events =
      std::make_shared<peermr::detail::MemoryEvents>();
  /// For those who may outlive the device.
  std::shared_ptr<BackendLink> link;

  /// Asks `opened` for its features.
  Impl(PciDevice device, std::unique_ptr<Backend> opened);
};

}  // namespace peermr::vfio
