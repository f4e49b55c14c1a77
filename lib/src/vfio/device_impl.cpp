// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/device_impl.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/checked.hpp"

namespace peermr::vfio {
namespace {

constexpr std::size_t kConfigSpaceBytes = 4096;

// pci_try_reset_function() does not wait for the device's lock, which a sysfs access or an
// error handler may hold for a moment.
constexpr int kResetAttempts = 50;
constexpr auto kResetPause = std::chrono::milliseconds(10);

}  // namespace

Result<void> Device::Impl::init() {
  vfio_region_info region{};
  region.argsz = sizeof(region);
  region.index = VFIO_PCI_CONFIG_REGION_INDEX;
  if (::ioctl(fd.get(), VFIO_DEVICE_GET_REGION_INFO, &region) != 0) {
    return errno_error(errno, "find the configuration space of", name);
  }
  config_offset = region.offset;
  vfio_device_info info{};
  info.argsz = sizeof(info);
  if (::ioctl(fd.get(), VFIO_DEVICE_GET_INFO, &info) != 0) {
    return errno_error(errno, "ask for properties of", name);
  }
  if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0) {
    return make_error(std::errc::not_supported, "open VFIO device", name, "it is not a PCI device");
  }
  can_reset = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
  return write_memory_enabled(true);
}

Result<std::uint16_t> Device::Impl::read_config16(std::uint16_t offset) const {
  if (!range_in<std::size_t>(offset, 2, kConfigSpaceBytes)) {
    return make_error(std::errc::invalid_argument, "read configuration space of", name,
                      fmt::format("offset {:#x} is past its end", offset));
  }
  unsigned char bytes[2] = {};
  const ssize_t count =
      ::pread(fd.get(), bytes, sizeof(bytes), static_cast<off_t>(config_offset + offset));
  if (count != sizeof(bytes)) {
    return errno_error(count < 0 ? errno : EIO, "read configuration space of", name);
  }
  return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

Result<void> Device::Impl::write_config16(std::uint16_t offset, std::uint16_t value) const {
  const unsigned char bytes[2] = {static_cast<unsigned char>(value & 0xff),
                                  static_cast<unsigned char>(value >> 8)};
  const ssize_t count =
      ::pwrite(fd.get(), bytes, sizeof(bytes), static_cast<off_t>(config_offset + offset));
  if (count != sizeof(bytes)) {
    return errno_error(count < 0 ? errno : EIO, "write configuration space of", name);
  }
  return {};
}

Result<bool> Device::Impl::memory_enabled() const {
  return read_config16(PCI_COMMAND).transform([](std::uint16_t command) {
    return (command & PCI_COMMAND_MEMORY) != 0;
  });
}

Result<void> Device::Impl::write_memory_enabled(bool enabled) const {
  const auto command = read_config16(PCI_COMMAND);
  if (!command) return command.error();
  const auto wanted = static_cast<std::uint16_t>(enabled ? *command | PCI_COMMAND_MEMORY
                                                         : *command & ~PCI_COMMAND_MEMORY);
  if (wanted == *command) return {};
  return write_config16(PCI_COMMAND, wanted);
}

Result<void> Device::Impl::reset_function() const {
  int error_number = 0;
  for (int attempt = 0; attempt < kResetAttempts; ++attempt) {
    if (::ioctl(fd.get(), VFIO_DEVICE_RESET) == 0) return {};
    error_number = errno;
    if (error_number != EAGAIN) break;
    std::this_thread::sleep_for(kResetPause);
  }
  return errno_error(error_number, "reset", name,
                     error_number == EAGAIN ? "the kernel keeps the device locked" : "");
}

}  // namespace peermr::vfio
