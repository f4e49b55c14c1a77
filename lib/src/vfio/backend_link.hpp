// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <shared_mutex>

#include "vfio/backend.hpp"

namespace peermr::vfio {

/// The way to a device's exporter for objects that may outlive the device. Thread-safe.
class BackendLink {
 public:
  explicit BackendLink(const Backend& backend) noexcept : backend_(&backend) {}

  /// Returns when no call is under way; those that follow fail.
  void cut();

  /// As Backend::call(); -ENODEV once it is cut.
  int call(ExportCall call, void* argument, std::size_t bytes) const;

 private:
  mutable std::shared_mutex mutex_;  // shared: a call is under way
  const Backend* backend_;           // null: cut
};

}  // namespace peermr::vfio
