// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/iommufd.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "peermr/vfio.hpp"
#include "peermr/vfio_cdev.h"

namespace peermr::vfio {

Result<UniqueFd> open_iommufd(const SystemPaths& paths) {
  const std::string path = paths.dev + "/iommu";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (fd) return fd;
  const int cause = errno;
  return errno_error(cause, "open", path,
                     cause == ENOENT ? "load the module: modprobe iommufd" : "");
}

Result<std::uint32_t> make_address_space(const UniqueFd& iommufd, const std::string& name) {
  peermr_ioas_alloc space{};
  space.size = sizeof(space);
  if (::ioctl(iommufd.get(), PEERMR_IOMMU_IOAS_ALLOC, &space) != 0) {
    return errno_error(errno, "make an address space for", name);
  }
  return space.out_ioas_id;
}

Result<void> try_iommufd_map(const DmaBuf& buffer, const SystemPaths& paths) {
  const auto iommufd = open_iommufd(paths);
  if (!iommufd) return iommufd.error();
  const auto space = make_address_space(*iommufd, buffer.name());
  if (!space) return space.error();
  peermr_ioas_map_file map{};
  map.size = sizeof(map);
  map.flags = PEERMR_IOAS_MAP_READABLE | PEERMR_IOAS_MAP_WRITEABLE;
  map.ioas_id = *space;
  map.fd = buffer.fd();
  map.length = buffer.size_bytes();
  if (::ioctl(iommufd->get(), PEERMR_IOMMU_IOAS_MAP_FILE, &map) == 0) return {};
  const int cause = errno;
  if (cause == ENODEV) {
    return make_error(Errc::kRevoked, "map with iommufd", buffer.name(),
                      "memory decode is off, or a reset is under way");
  }
  return errno_error(cause, "map with iommufd", buffer.name(),
                     cause == EOPNOTSUPP || cause == EINVAL
                         ? "it imports only buffers of one range that the kernel's own VFIO "
                           "exporter made"
                         : "");
}

}  // namespace peermr::vfio
