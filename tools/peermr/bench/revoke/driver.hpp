// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "peermr/bdf.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"

namespace peermr::tool {

/// Which driver a PCI device is bound to, and a way to change that for a while. Moves; what was
/// changed is put back on destruction.
class DriverBinding {
 public:
  /// Errors: std::errc::no_such_device when no driver has it.
  [[nodiscard]] static Result<DriverBinding> of(const Bdf& bdf, const SystemPaths& paths);

  DriverBinding(DriverBinding&& other) noexcept;
  DriverBinding& operator=(DriverBinding&&) = delete;
  ~DriverBinding();

  /// The driver that it was found with.
  [[nodiscard]] const std::string& original() const noexcept { return original_; }

  /// Binds the device to `driver`, which must be loaded. Blocks while the device is in use. Errors:
  /// std::errc::no_such_device when there is no such driver or it did not take the device; the
  /// errno of writing to sysfs.
  Result<void> bind(const std::string& driver);

 private:
  DriverBinding(std::string sysfs, std::string bdf, std::string driver, std::string override_text);

  std::string sysfs_;
  std::string bdf_;
  std::string original_;
  std::string original_override_;
  std::string current_;
};

}  // namespace peermr::tool
