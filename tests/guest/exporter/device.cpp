// SPDX-License-Identifier: BSD-2-Clause
#include "exporter/device.hpp"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <peermr/vfio_cdev.h>
#include <peermr/vfio_dmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "exporter/iommufd.hpp"
#include "pnic/verbs.hpp"

namespace exporter_test {

using pnic_test::fail;
using pnic_test::require;

namespace {

int checked(long result) {
  return result < 0 ? -errno : static_cast<int>(result);
}

std::string character_device(const std::string& bdf) {
  const std::string folder = "/sys/bus/pci/devices/" + bdf + "/vfio-dev";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    return "/dev/vfio/devices/" + entry.path().filename().string();
  fail(bdf + " has no character device", 0);
}

}  // namespace

std::string lab(const char* name) {
  const char* value = std::getenv(name);
  require(value != nullptr && *value != '\0', std::string(name) + " is not set");
  return value;
}

int lab_number(const char* name) {
  return std::stoi(lab(name));
}

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

const int Mapping::kReadWrite = PROT_READ | PROT_WRITE;
const int Mapping::kShared = MAP_SHARED;

Mapping::Mapping(int fd, std::size_t bytes, off_t offset, int protection, int flags, void* where)
    : bytes_(bytes) {
  void* data = ::mmap(where, bytes, protection, flags | (where ? MAP_FIXED : 0), fd, offset);
  if (data == MAP_FAILED)
    error_ = errno;
  else
    data_ = static_cast<std::uint8_t*>(data);
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  reset();
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = other.bytes_;
  error_ = other.error_;
  return *this;
}

void Mapping::reset() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
  data_ = nullptr;
}

Device::Device(const std::string& bdf) : bdf_(bdf) {
  const auto link = std::filesystem::read_symlink("/sys/bus/pci/devices/" + bdf + "/iommu_group");
  container_ = Fd(checked(::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)));
  require(container_.ok(), "open /dev/vfio/vfio");
  group_ =
      Fd(checked(::open(("/dev/vfio/" + link.filename().string()).c_str(), O_RDWR | O_CLOEXEC)));
  require(group_.ok(), "open the group of " + bdf);
  int container = container_.get();
  require(::ioctl(group_.get(), VFIO_GROUP_SET_CONTAINER, &container) == 0, "set container");
  require(::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "set IOMMU");
  device_ = Fd(checked(::ioctl(group_.get(), VFIO_GROUP_GET_DEVICE_FD, bdf.c_str())));
  require(device_.ok(), "open " + bdf);
}

Device::Device(const std::string& bdf, const Iommufd& iommufd) : bdf_(bdf), iommufd_(&iommufd) {
  device_ = Fd(checked(::open(character_device(bdf).c_str(), O_RDWR | O_CLOEXEC)));
  require(device_.ok(), "open the character device of " + bdf);
  peermr_vfio_bind bind{};
  bind.argsz = offsetof(peermr_vfio_bind, token);
  bind.iommufd = iommufd.fd();
  require(::ioctl(device_.get(), PEERMR_VFIO_BIND_IOMMUFD, &bind) == 0, "bind to iommufd");
  peermr_vfio_attach attach{};
  attach.argsz = sizeof(attach);
  attach.pt_id = iommufd.space();
  require(::ioctl(device_.get(), PEERMR_VFIO_ATTACH_IOMMUFD_PT, &attach) == 0,
          "attach to the address space");
}

int Device::map_dma(const volatile void* address, std::uint64_t iova, std::uint64_t bytes,
                    bool writable) const {
  if (iommufd_ != nullptr) return iommufd_->map(address, iova, bytes, writable);
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof(map);
  map.flags = VFIO_DMA_MAP_FLAG_READ | (writable ? VFIO_DMA_MAP_FLAG_WRITE : 0);
  map.vaddr = reinterpret_cast<std::uintptr_t>(address);
  map.iova = iova;
  map.size = bytes;
  return checked(::ioctl(container_.get(), VFIO_IOMMU_MAP_DMA, &map));
}

std::int64_t Device::unmap_dma(std::uint64_t iova, std::uint64_t bytes) const {
  if (iommufd_ != nullptr) return iommufd_->unmap(iova, bytes);
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof(unmap);
  unmap.iova = iova;
  unmap.size = bytes;
  if (::ioctl(container_.get(), VFIO_IOMMU_UNMAP_DMA, &unmap) < 0) return -errno;
  return static_cast<std::int64_t>(unmap.size);
}

void Device::close() {
  device_.reset();
  group_.reset();
  container_.reset();
}

int Device::feature(std::uint32_t feature, std::uint32_t flags, void* data,
                    std::size_t bytes) const {
  std::vector<std::uint64_t> space(1 + (sizeof(vfio_device_feature) + bytes) / 8);
  auto* header = reinterpret_cast<vfio_device_feature*>(space.data());
  header->argsz = static_cast<std::uint32_t>(sizeof(vfio_device_feature) + bytes);
  header->flags = flags | feature;
  if (bytes != 0) std::memcpy(header->data, data, bytes);
  const int result = checked(::ioctl(device_.get(), VFIO_DEVICE_FEATURE, header));
  if (bytes != 0) std::memcpy(data, header->data, bytes);
  return result;
}

bool Device::has_feature(std::uint32_t number) const {
  return feature(number, VFIO_DEVICE_FEATURE_PROBE, nullptr, 0) == 0;
}

Fd Device::export_dma_buf(std::uint32_t region, const std::vector<Range>& ranges,
                          std::uint32_t open_flags, std::uint32_t flags) const {
  const peermr_vfio_dma_buf head{
      .region_index = region,
      .open_flags = open_flags,
      .flags = flags,
      .nr_ranges = static_cast<std::uint32_t>(ranges.size()),
  };
  std::vector<std::uint8_t> data(sizeof(head) + ranges.size() * sizeof(Range));
  std::memcpy(data.data(), &head, sizeof(head));
  if (!ranges.empty())
    std::memcpy(data.data() + sizeof(head), ranges.data(), ranges.size() * sizeof(Range));
  return Fd(
      feature(PEERMR_VFIO_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_GET, data.data(), data.size()));
}

Fd Device::export_buffer(const peermr_export_create& create) const {
  peermr_export_create copy = create;
  return Fd(feature(PEERMR_VFIO_FEATURE_EXPORT, VFIO_DEVICE_FEATURE_GET, &copy, sizeof(copy)));
}

Fd Device::export_buffer(std::uint32_t bar, const std::vector<Range>& ranges, std::uint32_t flags,
                         int open_flags) const {
  peermr_export_create create{};
  create.size = sizeof(create);
  create.flags = flags;
  create.bar = bar;
  create.open_flags =
      static_cast<std::uint32_t>(open_flags == -1 ? O_RDWR | O_CLOEXEC : open_flags);
  create.nr_ranges = static_cast<std::uint32_t>(ranges.size());
  create.ranges = reinterpret_cast<std::uintptr_t>(ranges.data());
  return export_buffer(create);
}

int Device::revoke(int dmabuf) const {
  peermr_export_revoke data{.size = sizeof(data), .flags = 0, .dmabuf_fd = dmabuf, .reserved = 0};
  return feature(PEERMR_VFIO_FEATURE_REVOKE, VFIO_DEVICE_FEATURE_SET, &data, sizeof(data));
}

int Device::rearm(int dmabuf, std::uint64_t revokes, std::uint32_t flags) const {
  peermr_export_rearm data{
      .size = sizeof(data), .flags = flags, .dmabuf_fd = dmabuf, .reserved = 0, .revokes = revokes};
  return feature(PEERMR_VFIO_FEATURE_REARM, VFIO_DEVICE_FEATURE_SET, &data, sizeof(data));
}

int Device::make_private(std::uint32_t flags) const {
  peermr_export_private data{.size = sizeof(data), .flags = flags};
  return feature(PEERMR_VFIO_FEATURE_PRIVATE, VFIO_DEVICE_FEATURE_SET, &data, sizeof(data));
}

peermr_export_query Device::query(int dmabuf) const {
  peermr_export_query data{};
  data.size = sizeof(data);
  data.dmabuf_fd = dmabuf;
  if (feature(PEERMR_VFIO_FEATURE_QUERY, VFIO_DEVICE_FEATURE_GET, &data, sizeof(data)) < 0)
    data.state = ~0u;
  return data;
}

peermr_export_info Device::info() const {
  peermr_export_info data{};
  data.size = sizeof(data);
  if (feature(PEERMR_VFIO_FEATURE_INFO, VFIO_DEVICE_FEATURE_GET, &data, sizeof(data)) < 0)
    data.why = ~0u;
  return data;
}

int Device::reset() const {
  return checked(::ioctl(device_.get(), VFIO_DEVICE_RESET));
}

int Device::set_decode(bool on) const {
  std::uint8_t command = config_byte(PCI_COMMAND);
  command =
      static_cast<std::uint8_t>(on ? command | PCI_COMMAND_MEMORY : command & ~PCI_COMMAND_MEMORY);
  const ssize_t done = write(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 1);
  return done < 0 ? static_cast<int>(done) : 0;
}

std::uint64_t Device::region_offset(std::uint32_t index) const {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  require(::ioctl(device_.get(), VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "get region info");
  return info.offset;
}

std::uint64_t Device::region_bytes(std::uint32_t index) const {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  require(::ioctl(device_.get(), VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "get region info");
  return info.size;
}

ssize_t Device::read(std::uint32_t region, std::uint64_t offset, void* to,
                     std::size_t bytes) const {
  return checked(
      ::pread(device_.get(), to, bytes, static_cast<off_t>(region_offset(region) + offset)));
}

ssize_t Device::write(std::uint32_t region, std::uint64_t offset, const void* from,
                      std::size_t bytes) const {
  return checked(
      ::pwrite(device_.get(), from, bytes, static_cast<off_t>(region_offset(region) + offset)));
}

std::uint8_t Device::config_byte(std::uint64_t offset) const {
  std::uint8_t value = 0;
  require(read(VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, 1) == 1, "read configuration space");
  return value;
}

std::uint8_t Device::capability(std::uint8_t id) const {
  if (!(config_byte(PCI_STATUS) & PCI_STATUS_CAP_LIST)) return 0;
  std::uint8_t at = config_byte(PCI_CAPABILITY_LIST);
  for (int left = 48; at != 0 && left > 0; --left) {
    if (config_byte(at) == id) return at;
    at = config_byte(at + 1);
  }
  return 0;
}

Mapping Device::map_bar(std::uint32_t bar, std::size_t bytes, std::uint64_t offset) const {
  return Mapping(device_.get(), bytes, static_cast<off_t>(region_offset(bar) + offset));
}

}  // namespace exporter_test
