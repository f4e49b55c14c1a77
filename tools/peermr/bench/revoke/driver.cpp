// SPDX-License-Identifier: BSD-2-Clause
#include "bench/revoke/driver.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <climits>
#include <filesystem>
#include <utility>

#include "base/file.hpp"

namespace peermr::tool {
namespace {

// Name of the driver that a device's directory links to; empty: none.
std::string bound_driver(const std::string& device) {
  std::error_code ignored;
  return std::filesystem::read_symlink(device + "/driver", ignored).filename().string();
}

}  // namespace

DriverBinding::DriverBinding(std::string sysfs, std::string bdf, std::string driver,
                             std::string override_text)
    : sysfs_(std::move(sysfs)),
      bdf_(std::move(bdf)),
      original_(std::move(driver)),
      original_override_(std::move(override_text)),
      current_(original_) {}

DriverBinding::DriverBinding(DriverBinding&& other) noexcept
    : sysfs_(std::move(other.sysfs_)),
      bdf_(std::exchange(other.bdf_, {})),
      original_(std::move(other.original_)),
      original_override_(std::move(other.original_override_)),
      current_(std::move(other.current_)) {}

DriverBinding::~DriverBinding() {
  if (bdf_.empty()) return;
  if (current_ != original_) {
    if (auto back = bind(original_); !back) {
      fmt::print(stderr, "peermr: {}\n", back.error().message());
    }
  }
  const std::string content = original_override_.empty() ? "\n" : original_override_;
  (void)write_control(fmt::format("{}/devices/{}/driver_override", sysfs_, bdf_), content, false)
      .has_value();
}

Result<DriverBinding> DriverBinding::of(const Bdf& bdf, const SystemPaths& paths) {
  const std::string sysfs = paths.sysfs + "/bus/pci";
  const std::string name = bdf.to_string();
  const std::string device = fmt::format("{}/devices/{}", sysfs, name);
  std::string driver = bound_driver(device);
  if (driver.empty()) {
    return make_error(std::errc::no_such_device, "find the driver of", name,
                      "it is bound to none: bind it to a VFIO driver");
  }
  std::string override_text = read_line_or_empty(device + "/driver_override");
  if (override_text == "(null)") override_text.clear();
  return DriverBinding(sysfs, name, std::move(driver), std::move(override_text));
}

Result<void> DriverBinding::bind(const std::string& driver) {
  if (driver == current_) return {};
  const std::string device = fmt::format("{}/devices/{}", sysfs_, bdf_);
  std::error_code ignored;
  if (!std::filesystem::exists(fmt::format("{}/drivers/{}", sysfs_, driver), ignored)) {
    return make_error(std::errc::no_such_device, "bind to " + driver, bdf_,
                      fmt::format("there is no such PCI driver: modprobe {}", driver));
  }
  if (auto set = write_control(device + "/driver_override", driver, false); !set) return set;
  if (!bound_driver(device).empty()) {
    if (auto unbound = write_control(device + "/driver/unbind", bdf_, false); !unbound) {
      return unbound;
    }
  }
  current_.clear();
  if (auto probed = write_control(sysfs_ + "/drivers_probe", bdf_, false); !probed) return probed;
  if (bound_driver(device) != driver) {
    return make_error(std::errc::no_such_device, "bind to " + driver, bdf_,
                      "the driver did not take it; the kernel log may say why");
  }
  current_ = driver;
  return {};
}

}  // namespace peermr::tool
