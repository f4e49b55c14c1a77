// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/bar_backend.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/checked.hpp"
#include "peermr/peermr_bar.h"

namespace peermr::vfio {
namespace {

constexpr std::size_t kConfigSpaceBytes = 4096;
constexpr int kResetAttempts = 50;
constexpr auto kResetPause = std::chrono::milliseconds(10);

std::string node_of(const Bdf& bdf, const SystemPaths& paths) {
  return fmt::format("{}/peermr_bar/{}", paths.dev, bdf.to_string());
}

// 0: the driver has no such call.
constexpr unsigned long number_of(ExportCall call) noexcept {
  switch (call) {
    case ExportCall::kExport:
      return PEERMR_BAR_EXPORT;
    case ExportCall::kRevoke:
      return PEERMR_BAR_REVOKE;
    case ExportCall::kRearm:
      return PEERMR_BAR_REARM;
    case ExportCall::kQuery:
      return PEERMR_BAR_QUERY;
    case ExportCall::kInfo:
      return PEERMR_BAR_INFO;
    case ExportCall::kMainline:
    case ExportCall::kPrivate:
      break;
  }
  return 0;
}

Error open_error(int error_number, const std::string& path) {
  std::string remedy;
  if (error_number == EACCES) remedy = "give this user access to it, or run as root";
  if (error_number == EBUSY) remedy = "another process has it";
  return errno_error(error_number, "open", path, remedy);
}

}  // namespace

bool BarBackend::has_device(const Bdf& bdf, const SystemPaths& paths) {
  struct stat info {};
  return ::stat(node_of(bdf, paths).c_str(), &info) == 0;
}

Result<std::unique_ptr<Backend>> BarBackend::open(const Bdf& bdf, const SystemPaths& paths) {
  const std::string path = node_of(bdf, paths);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return open_error(errno, path);
  const std::string config =
      fmt::format("{}/bus/pci/devices/{}/config", paths.sysfs, bdf.to_string());
  auto backend = std::make_unique<BarBackend>(bdf.to_string(), config, std::move(fd));
  if (!backend->has(ExportCall::kInfo)) {
    return make_error(std::errc::not_supported, "use", path, "it is not peermr_bar's");
  }
  return std::unique_ptr<Backend>(std::move(backend));
}

BarBackend::BarBackend(std::string name, std::string config_path, UniqueFd fd)
    : name_(std::move(name)), config_path_(std::move(config_path)), fd_(std::move(fd)) {}

Result<BarRegion> BarBackend::region(BarIndex bar) const {
  peermr_bar_region region{};
  region.size = sizeof(region);
  region.bar = bar.value();
  if (::ioctl(fd(), PEERMR_BAR_REGION, &region) != 0) {
    return errno_error(errno, "describe", name_ + " BAR " + std::to_string(bar.value()));
  }
  const bool there = region.bytes != 0;
  return BarRegion{
      .info = {.size_bytes = region.bytes, .readable = there, .writable = there, .mappable = there},
      .mmap_offset = region.mmap_offset};
}

// The driver's file has no configuration space; sysfs shows it to everybody up to byte 64.
Result<std::uint16_t> BarBackend::read_config16(std::uint16_t offset) const {
  if (!range_in<std::size_t>(offset, 2, kConfigSpaceBytes)) {
    return make_error(std::errc::invalid_argument, "read configuration space of", name_,
                      fmt::format("offset {:#x} is past its end", offset));
  }
  const UniqueFd file(::open(config_path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno_error(errno, "open", config_path_);
  unsigned char bytes[2] = {};
  const ssize_t count = ::pread(file.get(), bytes, sizeof(bytes), offset);
  if (count != sizeof(bytes)) {
    return errno_error(count < 0 ? errno : EPERM, "read configuration space of", name_);
  }
  return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

Result<void> BarBackend::write_config16(std::uint16_t /*offset*/, std::uint16_t /*value*/) const {
  return make_error(std::errc::not_supported, "write configuration space of", name_,
                    "its driver, peermr_bar, keeps it as it is");
}

Result<UniqueFd> BarBackend::event_fd(DeviceEvent /*event*/) const {
  return make_error(std::errc::not_supported, "be told of events of", name_,
                    "its driver is peermr_bar");
}

Result<bool> BarBackend::memory_enabled() const {
  peermr_export_info info{};
  info.size = sizeof(info);
  if (const int status = call(ExportCall::kInfo, &info, sizeof(info)); status < 0) {
    return errno_error(-status, "ask for the state of", name_);
  }
  return (info.why & PEERMR_WHY_MEMORY) == 0;
}

Result<void> BarBackend::write_memory_enabled(bool enabled) const {
  return make_error(std::errc::not_supported,
                    enabled ? "turn memory decode on of" : "turn memory decode off of", name_,
                    "its driver, peermr_bar, keeps it as it is");
}

Result<void> BarBackend::reset_function() const {
  int error_number = 0;
  for (int attempt = 0; attempt < kResetAttempts; ++attempt) {
    if (::ioctl(fd(), PEERMR_BAR_RESET) == 0) return {};
    error_number = errno;
    if (error_number != EAGAIN) break;
    std::this_thread::sleep_for(kResetPause);
  }
  if (error_number == ENOTTY) {
    return make_error(std::errc::not_supported, "reset", name_,
                      "the kernel knows no way to reset this function alone");
  }
  return errno_error(error_number, "reset", name_,
                     error_number == EAGAIN ? "the kernel keeps the device locked" : "");
}

// The ioctls have no way to ask without doing. Asked for nothing at all they refuse, each in its
// own way; only one that is unknown says ENOTTY.
bool BarBackend::has(ExportCall call) const {
  const unsigned long number = number_of(call);
  if (number == 0) return false;
  peermr_export_query nothing{};  // no smaller than any of the structures
  return ::ioctl(fd(), number, &nothing) >= 0 || errno != ENOTTY;
}

int BarBackend::call(ExportCall call, void* argument, std::size_t /*bytes*/) const {
  const unsigned long number = number_of(call);
  if (number == 0) return -ENOTTY;
  const int status = ::ioctl(fd(), number, argument);
  return status < 0 ? -errno : status;
}

}  // namespace peermr::vfio
