// SPDX-License-Identifier: BSD-2-Clause
#include "exporter/iommufd.hpp"

#include <fcntl.h>
#include <peermr/vfio_cdev.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "pnic/verbs.hpp"

namespace exporter_test {

using pnic_test::require;

namespace {

// As in Linux 7.2's <linux/iommufd.h>.
struct IoasMap {
  std::uint32_t size, flags, ioas_id, reserved;
  std::uint64_t user_va, length, iova;
};
struct IoasUnmap {
  std::uint32_t size, ioas_id;
  std::uint64_t iova, length;
};
constexpr unsigned long kIoasMap = _IO(';', 0x85), kIoasUnmap = _IO(';', 0x86);

std::uint32_t map_flags(bool writable) {
  return PEERMR_IOAS_MAP_FIXED_IOVA | PEERMR_IOAS_MAP_READABLE |
         (writable ? PEERMR_IOAS_MAP_WRITEABLE : 0);
}

}  // namespace

Iommufd::Iommufd() : fd_(::open("/dev/iommu", O_RDWR | O_CLOEXEC)) {
  require(fd_.ok(), "open /dev/iommu");
  peermr_ioas_alloc space{};
  space.size = sizeof(space);
  require(::ioctl(fd_.get(), PEERMR_IOMMU_IOAS_ALLOC, &space) == 0, "make an address space");
  space_ = space.out_ioas_id;
}

int Iommufd::map_file(int file, std::uint64_t iova, std::uint64_t bytes, std::uint64_t start,
                      bool writable) const {
  peermr_ioas_map_file map{sizeof(map), map_flags(writable), space_, file, start, bytes, iova};
  return ::ioctl(fd_.get(), PEERMR_IOMMU_IOAS_MAP_FILE, &map) < 0 ? -errno : 0;
}

int Iommufd::map(const volatile void* address, std::uint64_t iova, std::uint64_t bytes,
                 bool writable) const {
  IoasMap map{
      sizeof(map), map_flags(writable), space_, 0, reinterpret_cast<std::uintptr_t>(address), bytes,
      iova};
  return ::ioctl(fd_.get(), kIoasMap, &map) < 0 ? -errno : 0;
}

std::int64_t Iommufd::unmap(std::uint64_t iova, std::uint64_t bytes) const {
  IoasUnmap unmap{sizeof(unmap), space_, iova, bytes};
  if (::ioctl(fd_.get(), kIoasUnmap, &unmap) < 0) return -errno;
  return static_cast<std::int64_t>(unmap.length);
}

}  // namespace exporter_test
