// SPDX-License-Identifier: BSD-2-Clause
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/log.hpp"
#include "peermr/vfio.hpp"
#include "vfio/bar_backend.hpp"
#include "vfio/cdev.hpp"
#include "vfio/checks.hpp"
#include "vfio/device_impl.hpp"
#include "vfio/exporter.hpp"
#include "vfio/vfio_backend.hpp"

namespace peermr::vfio {
namespace {

constexpr std::uint8_t kBars = 6;

Result<std::shared_ptr<Container>> container_of(const OpenOptions& options) {
  if (options.container) return options.container;
  return Container::create(options.paths);
}

Result<std::unique_ptr<Backend>> open_by_group(const Topology& topology, const Bdf& bdf,
                                               unsigned number, const OpenOptions& options) {
  auto container = container_of(options);
  if (!container) return container.error();
  auto group = (*container)->impl().join(number);
  if (!group) {
    if (group.error().code() != Errc::kGroupNotViable) return group.error();
    return not_viable_error(topology, bdf, number, options.paths);
  }
  auto fd = (*group)->open_device(bdf, options.vf_token);
  if (!fd) return fd.error();
  return VfioBackend::create(
      bdf.to_string(),
      {.container = *std::move(container), .group = *std::move(group), .iommufd = {}},
      *std::move(fd));
}

Result<std::unique_ptr<Backend>> open_by_cdev(const Bdf& bdf, const OpenOptions& options) {
  if (options.container) {
    return make_error(std::errc::invalid_argument, "open VFIO device", bdf.to_string(),
                      "a container is for devices that are opened by their group");
  }
  auto opened = open_cdev(bdf, options.vf_token, options.paths);
  if (!opened) return opened.error();
  return VfioBackend::create(bdf.to_string(),
                             {.container = {}, .group = {}, .iommufd = std::move(opened->iommufd)},
                             std::move(opened->device));
}

// A kernel may have one way or both. Where it has both the group is taken: other programs of the
// machine are more likely to know it, and a device is opened one way at a time.
bool prefers_cdev(const Bdf& bdf, const OpenOptions& options) {
  if (options.by != OpenBy::kAny) return options.by == OpenBy::kCdev;
  return !options.container && ::access((options.paths.dev + "/vfio/vfio").c_str(), F_OK) != 0 &&
         !cdev_path(bdf, options.paths).empty();
}

Result<std::unique_ptr<Backend>> open_vfio(const Topology& topology, const Bdf& bdf,
                                           const OpenOptions& options) {
  const auto number = check_bound_to_vfio(topology, bdf, options.paths);
  if (!number) return number.error();
  return prefers_cdev(bdf, options) ? open_by_cdev(bdf, options)
                                    : open_by_group(topology, bdf, *number, options);
}

}  // namespace

Device::Impl::Impl(PciDevice device, std::unique_ptr<Backend> opened)
    : pci(std::move(device)),
      name(pci.bdf.to_string()),
      backend(std::move(opened)),
      features(find_features(*backend)),
      link(std::make_shared<BackendLink>(*backend)) {}

Result<Device> Device::open(const Bdf& bdf, const OpenOptions& options) {
  const auto topology = Topology::read(options.paths);
  if (!topology) return topology.error();
  const PciDevice* device = topology->find(bdf);
  auto backend = device != nullptr && BarBackend::has_device(bdf, options.paths)
                     ? BarBackend::open(bdf, options.paths)
                     : open_vfio(*topology, bdf, options);
  if (!backend) return backend.error();
  return Device(std::make_unique<Impl>(*device, *std::move(backend)));
}

Device::Device(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Device::Device(Device&&) noexcept = default;

Device& Device::operator=(Device&& other) noexcept {
  if (this != &other) {
    const Device old(std::move(impl_));
    impl_ = std::move(other.impl_);
  }
  return *this;
}

const Bdf& Device::bdf() const noexcept {
  return impl_->pci.bdf;
}

int Device::fd() const noexcept {
  return impl_->backend->fd();
}

Result<BarInfo> Device::bar_info(BarIndex bar) const {
  if (bar.value() >= kBars) {
    return make_error(std::errc::invalid_argument, "describe", bar_name(bdf(), bar),
                      "BARs are numbered 0 to 5");
  }
  return impl_->backend->region(bar).transform([](const BarRegion& region) { return region.info; });
}

Result<BarMapping> Device::map_bar(BarIndex bar, BarRange range) const {
  const std::string name = bar_name(bdf(), bar);
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto length = check_ranges("map", name, impl_->pci.bar(bar), {&range, 1}, page);
  if (!length) return length.error();
  const auto region = impl_->backend->region(bar);
  if (!region) return region.error();
  if (!region->info.mappable) {
    return make_error(std::errc::not_supported, "map", name, "its driver does not let it");
  }
  void* address = ::mmap(nullptr, *length, PROT_READ | PROT_WRITE, MAP_SHARED, fd(),
                         static_cast<off_t>(region->mmap_offset + range.offset_bytes));
  if (address == MAP_FAILED) return errno_error(errno, "map", name);
  return BarMapping(address, *length);
}

Result<std::uint16_t> Device::read_config16(std::uint16_t offset) const {
  return impl_->backend->read_config16(offset);
}

Result<UniqueFd> Device::event_fd(DeviceEvent event) const {
  return impl_->backend->event_fd(event);
}

const std::shared_ptr<peermr::detail::MemoryEvents>& Device::memory_events() const noexcept {
  return impl_->events;
}

std::string_view to_string(DeviceEvent event) noexcept {
  return event == DeviceEvent::kError ? "error" : "request";
}

Result<bool> Device::memory_enabled() const {
  return impl_->backend->memory_enabled();
}

BarMapping::BarMapping(BarMapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

BarMapping& BarMapping::operator=(BarMapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

BarMapping::~BarMapping() {
  if (address_ == nullptr) return;
  if (::munmap(address_, size_bytes_) != 0) {
    log(LogLevel::kWarning, "unmap BAR: {}", errno_error(errno, "munmap").message());
  }
}

}  // namespace peermr::vfio
