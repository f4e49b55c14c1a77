// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/watch.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "peermr/dmabuf_watch.h"

namespace peermr {
namespace {

constexpr std::string_view kWatch = "watch dma-buf of";
constexpr std::chrono::milliseconds kLongestProbe{10000};

Error open_error(int error_number, const std::string& path, const std::string& name) {
  if (error_number == ENOENT || error_number == ENXIO || error_number == ENODEV) {
    return make_error(Errc::kNoWatch, kWatch, name,
                      path + " does not exist; load the module: modprobe dmabuf_watch");
  }
  return errno_error(error_number, "open", path,
                     error_number == EACCES ? "give this user access to it, or run as root" : "");
}

// ENODEV is the exporter's answer as well as the watch's own.
bool device_exists(const Bdf& bdf, const SystemPaths& paths) {
  return ::access((paths.sysfs + "/bus/pci/devices/" + bdf.to_string()).c_str(), F_OK) == 0;
}

Error create_error(int error_number, const std::string& name, const Bdf& importer,
                   const SystemPaths& paths) {
  switch (error_number) {
    case ENOTTY:
      return make_error(Errc::kNoWatch, kWatch, name, paths.dev + "/dmabuf_watch is not ours");
    case ENODEV:
      if (!device_exists(importer, paths)) {
        return make_error(std::errc::no_such_device, kWatch, name,
                          "there is no PCI device " + importer.to_string());
      }
      return make_error(Errc::kRevoked, kWatch, name,
                        "its exporter lets nobody attach now: memory decode is off, a reset is "
                        "under way, or the device is gone");
    case EOPNOTSUPP:
      return make_error(Errc::kImporterNotRevocable, kWatch, name,
                        "its exporter refuses " + importer.to_string() + " as an importer");
    case EDQUOT:
      return errno_error(error_number, kWatch, name,
                         "this user has too many watches: dmabuf_watch's parameter per_user");
    default:
      return errno_error(error_number, kWatch, name);
  }
}

std::chrono::steady_clock::time_point at(std::uint64_t monotonic_ns) {
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(monotonic_ns)));
}

WatchState to_state(std::uint32_t state) noexcept {
  switch (state) {
    case DMABUF_WATCH_LIVE:
      return WatchState::kLive;
    case DMABUF_WATCH_REVOKED:
      return WatchState::kRevoked;
    case DMABUF_WATCH_HELD:
      return WatchState::kHeld;
    case DMABUF_WATCH_DEAD:
      return WatchState::kDead;
    case DMABUF_WATCH_PRIVATE:
      return WatchState::kPrivate;
    default:
      return WatchState::kUnknown;
  }
}

}  // namespace

std::string_view to_string(WatchState state) noexcept {
  switch (state) {
    case WatchState::kUnknown:
      return "unknown";
    case WatchState::kLive:
      return "live";
    case WatchState::kRevoked:
      return "revoked";
    case WatchState::kHeld:
      return "held";
    case WatchState::kDead:
      return "dead";
    case WatchState::kPrivate:
      return "private";
  }
  return "unknown";
}

Result<Watch> Watch::create(const DmaBuf& buffer, const Bdf& importer, const SystemPaths& paths) {
  const std::string path = paths.dev + "/dmabuf_watch";
  const UniqueFd control(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!control) return open_error(errno, path, buffer.name());
  dmabuf_watch_create request{};
  request.size = sizeof(request);
  request.flags = DMABUF_WATCH_CLOEXEC | DMABUF_WATCH_NONBLOCK;
  request.dmabuf_fd = buffer.fd();
  request.pci_domain = importer.domain();
  request.pci_bus = importer.bus();
  request.pci_devfn = static_cast<std::uint8_t>(importer.device() << 3 | importer.function());
  const int fd = ::ioctl(control.get(), DMABUF_WATCH_CREATE, &request);
  if (fd < 0) return create_error(errno, buffer.name(), importer, paths);
  return Watch(UniqueFd(fd), buffer.name());
}

Watch::Watch(UniqueFd fd, std::string name) noexcept : fd_(std::move(fd)), name_(std::move(name)) {}

Result<std::optional<WatchEvent>> Watch::read() const {
  dmabuf_watch_event event{};
  ssize_t count = 0;
  do {
    count = ::read(fd_.get(), &event, sizeof(event));
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) return std::optional<WatchEvent>();
  if (count != sizeof(event)) {
    return errno_error(count < 0 ? errno : EIO, "read the watch of", name_);
  }
  return std::optional(WatchEvent{.invalidates = event.invalidates,
                                  .total = event.total,
                                  .first = at(event.first_ns),
                                  .last = at(event.last_ns)});
}

Result<WatchStatus> Watch::status() const {
  dmabuf_watch_status status{};
  status.size = sizeof(status);
  if (::ioctl(fd_.get(), DMABUF_WATCH_STATUS, &status) != 0) {
    return errno_error(errno, "ask the watch of", name_);
  }
  return WatchStatus{
      .state = to_state(status.state), .total = status.total, .revokes = status.revokes};
}

Result<WatchProbe> Watch::probe(std::chrono::milliseconds timeout) const {
  dmabuf_watch_probe probe{};
  probe.size = sizeof(probe);
  probe.timeout_ms = static_cast<std::uint32_t>(
      std::clamp(timeout, std::chrono::milliseconds(0), kLongestProbe).count());
  if (::ioctl(fd_.get(), DMABUF_WATCH_PROBE, &probe) != 0) {
    return errno_error(errno, "probe dma-buf of", name_,
                       errno == EPERM ? "it takes CAP_SYS_RAWIO: mapping may move the buffer" : "");
  }
  // Kernels say errno values with either sign.
  const int error_number = probe.error < 0 ? -probe.error : probe.error;
  return WatchProbe{.error = std::error_code(error_number, std::generic_category()),
                    .total = probe.total};
}

}  // namespace peermr
