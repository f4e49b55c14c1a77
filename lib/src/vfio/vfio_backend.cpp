// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/vfio_backend.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "base/checked.hpp"
#include "peermr/peermr_vfio.h"
#include "peermr/vfio_dmabuf.h"
#include "vfio/checks.hpp"

namespace peermr::vfio {
namespace {

constexpr std::size_t kConfigSpaceBytes = 4096;

// pci_try_reset_function() does not wait for the device's lock, which a sysfs access or an
// error handler may hold for a moment.
constexpr int kResetAttempts = 50;
constexpr auto kResetPause = std::chrono::milliseconds(10);

struct Feature {
  std::uint32_t number;
  std::uint32_t direction;
};

constexpr Feature feature_of(ExportCall call) noexcept {
  switch (call) {
    case ExportCall::kMainline:
      return {PEERMR_VFIO_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_GET};
    case ExportCall::kExport:
      return {PEERMR_VFIO_FEATURE_EXPORT, VFIO_DEVICE_FEATURE_GET};
    case ExportCall::kRevoke:
      return {PEERMR_VFIO_FEATURE_REVOKE, VFIO_DEVICE_FEATURE_SET};
    case ExportCall::kRearm:
      return {PEERMR_VFIO_FEATURE_REARM, VFIO_DEVICE_FEATURE_SET};
    case ExportCall::kQuery:
      return {PEERMR_VFIO_FEATURE_QUERY, VFIO_DEVICE_FEATURE_GET};
    case ExportCall::kInfo:
      return {PEERMR_VFIO_FEATURE_INFO, VFIO_DEVICE_FEATURE_GET};
    case ExportCall::kPrivate:
      return {PEERMR_VFIO_FEATURE_PRIVATE, VFIO_DEVICE_FEATURE_SET};
  }
  return {};
}

}  // namespace

VfioBackend::VfioBackend(std::string name, VfioOwnership ownership, UniqueFd fd)
    : name_(std::move(name)), ownership_(std::move(ownership)), fd_(std::move(fd)) {}

Result<std::unique_ptr<Backend>> VfioBackend::create(std::string name, VfioOwnership ownership,
                                                     UniqueFd fd) {
  auto backend =
      std::make_unique<VfioBackend>(std::move(name), std::move(ownership), std::move(fd));
  if (auto ready = backend->init(); !ready) return ready.error();
  return std::unique_ptr<Backend>(std::move(backend));
}

Result<void> VfioBackend::init() {
  vfio_region_info region{};
  region.argsz = sizeof(region);
  region.index = VFIO_PCI_CONFIG_REGION_INDEX;
  if (::ioctl(fd(), VFIO_DEVICE_GET_REGION_INFO, &region) != 0) {
    return errno_error(errno, "find the configuration space of", name_);
  }
  config_offset_ = region.offset;
  vfio_device_info info{};
  info.argsz = sizeof(info);
  if (::ioctl(fd(), VFIO_DEVICE_GET_INFO, &info) != 0) {
    return errno_error(errno, "ask for properties of", name_);
  }
  if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0) {
    return make_error(std::errc::not_supported, "open VFIO device", name_,
                      "it is not a PCI device");
  }
  can_reset_ = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
  return write_memory_enabled(true);
}

Result<void> VfioBackend::close() {
  auto closed = fd_.close();
  ownership_.group.reset();
  ownership_.container.reset();
  ownership_.iommufd.reset();
  return closed;
}

Result<BarRegion> VfioBackend::region(BarIndex bar) const {
  vfio_region_info region{};
  region.argsz = sizeof(region);
  region.index = bar.value();
  if (::ioctl(fd(), VFIO_DEVICE_GET_REGION_INFO, &region) != 0) {
    return errno_error(errno, "describe", name_ + " BAR " + std::to_string(bar.value()));
  }
  return BarRegion{.info = {.size_bytes = region.size,
                            .readable = (region.flags & VFIO_REGION_INFO_FLAG_READ) != 0,
                            .writable = (region.flags & VFIO_REGION_INFO_FLAG_WRITE) != 0,
                            .mappable = (region.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0},
                   .mmap_offset = region.offset};
}

Result<std::uint16_t> VfioBackend::read_config16(std::uint16_t offset) const {
  if (!range_in<std::size_t>(offset, 2, kConfigSpaceBytes)) {
    return make_error(std::errc::invalid_argument, "read configuration space of", name_,
                      fmt::format("offset {:#x} is past its end", offset));
  }
  unsigned char bytes[2] = {};
  const ssize_t count =
      ::pread(fd(), bytes, sizeof(bytes), static_cast<off_t>(config_offset_ + offset));
  if (count != sizeof(bytes)) {
    return errno_error(count < 0 ? errno : EIO, "read configuration space of", name_);
  }
  return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

Result<void> VfioBackend::write_config16(std::uint16_t offset, std::uint16_t value) const {
  const unsigned char bytes[2] = {static_cast<unsigned char>(value & 0xff),
                                  static_cast<unsigned char>(value >> 8)};
  const ssize_t count =
      ::pwrite(fd(), bytes, sizeof(bytes), static_cast<off_t>(config_offset_ + offset));
  if (count != sizeof(bytes)) {
    return errno_error(count < 0 ? errno : EIO, "write configuration space of", name_);
  }
  return {};
}

Result<bool> VfioBackend::memory_enabled() const {
  return read_config16(PCI_COMMAND).transform([](std::uint16_t command) {
    return (command & PCI_COMMAND_MEMORY) != 0;
  });
}

Result<void> VfioBackend::write_memory_enabled(bool enabled) const {
  const auto command = read_config16(PCI_COMMAND);
  if (!command) return command.error();
  const auto wanted = static_cast<std::uint16_t>(enabled ? *command | PCI_COMMAND_MEMORY
                                                         : *command & ~PCI_COMMAND_MEMORY);
  if (wanted == *command) return {};
  return write_config16(PCI_COMMAND, wanted);
}

Result<void> VfioBackend::reset_function() const {
  int error_number = 0;
  for (int attempt = 0; attempt < kResetAttempts; ++attempt) {
    if (::ioctl(fd(), VFIO_DEVICE_RESET) == 0) return {};
    error_number = errno;
    if (error_number != EAGAIN) break;
    std::this_thread::sleep_for(kResetPause);
  }
  return errno_error(error_number, "reset", name_,
                     error_number == EAGAIN ? "the kernel keeps the device locked" : "");
}

Result<UniqueFd> VfioBackend::event_fd(DeviceEvent event) const {
  const std::uint32_t index =
      event == DeviceEvent::kError ? VFIO_PCI_ERR_IRQ_INDEX : VFIO_PCI_REQ_IRQ_INDEX;
  vfio_irq_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  if (::ioctl(fd(), VFIO_DEVICE_GET_IRQ_INFO, &info) != 0 || info.count == 0) {
    return make_error(std::errc::not_supported, "be told of events of", name_,
                      event == DeviceEvent::kError ? "only PCI Express devices report errors"
                                                   : "the kernel's VFIO does not tell");
  }
  UniqueFd told(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!told) return errno_error(errno, "make an eventfd");
  const std::int32_t number = told.get();
  alignas(vfio_irq_set) std::array<std::byte, sizeof(vfio_irq_set) + sizeof(number)> request{};
  auto* header = reinterpret_cast<vfio_irq_set*>(request.data());
  header->argsz = request.size();
  header->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  header->index = index;
  header->count = 1;
  std::memcpy(header->data, &number, sizeof(number));
  if (::ioctl(fd(), VFIO_DEVICE_SET_IRQS, header) != 0) {
    return errno_error(errno, "be told of events of", name_);
  }
  return told;
}

bool VfioBackend::has(ExportCall call) const {
  const Feature feature = feature_of(call);
  vfio_device_feature header{};
  header.argsz = sizeof(header);
  header.flags = feature.number | feature.direction | VFIO_DEVICE_FEATURE_PROBE;
  return ::ioctl(fd(), VFIO_DEVICE_FEATURE, &header) == 0;
}

int VfioBackend::call(ExportCall call, void* argument, std::size_t bytes) const {
  const Feature feature = feature_of(call);
  // argsz is 32 bits wide.
  if (bytes > std::numeric_limits<std::uint32_t>::max() / 2) return -E2BIG;
  const std::size_t total = sizeof(vfio_device_feature) + bytes;
  // Words, since header and structure must be aligned.
  std::vector<std::uint64_t> words((total + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t));
  auto* header = reinterpret_cast<vfio_device_feature*>(words.data());
  header->argsz = static_cast<std::uint32_t>(total);
  header->flags = feature.number | feature.direction;
  std::memcpy(header->data, argument, bytes);
  const int status = ::ioctl(fd(), VFIO_DEVICE_FEATURE, header);
  if (status < 0) return -errno;
  std::memcpy(argument, header->data, bytes);
  return status;
}

}  // namespace peermr::vfio
