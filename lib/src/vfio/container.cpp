// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/container.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vfio/vf_token.hpp"

namespace peermr::vfio {
namespace {

Error open_error(int error_number, const std::string& path) {
  std::string remedy;
  if (error_number == ENOENT) remedy = "load the module: modprobe vfio-pci";
  if (error_number == EACCES) remedy = "give this user access to it, or run as root";
  if (error_number == EBUSY) remedy = "another process has it, or another container of this one";
  return errno_error(error_number, "open", path, remedy);
}

Error type1_error(int error_number) {
  std::string remedy;
  if (error_number == EPERM) {
    remedy =
        "the IOMMU cannot remap interrupts; load vfio_iommu_type1 with allow_unsafe_interrupts=1 "
        "if "
        "the device is trusted";
  }
  if (error_number == ENODEV) remedy = "load the module: modprobe vfio_iommu_type1";
  return errno_error(error_number, "set the IOMMU type of", "VFIO container", remedy);
}

}  // namespace

Result<UniqueFd> Group::open_device(const Bdf& bdf, const std::string& vf_token) const {
  std::string name = bdf.to_string();
  if (!vf_token.empty()) {
    if (auto token = parse_vf_token(vf_token); !token) return token.error();
    name += " vf_token=" + vf_token;
  }
  const int fd = ::ioctl(fd_.get(), VFIO_GROUP_GET_DEVICE_FD, name.c_str());
  if (fd >= 0) return UniqueFd(fd);
  const int cause = errno;
  return errno_error(cause, "open VFIO device", bdf.to_string(),
                     cause == EACCES ? "its VF token is missing or wrong" : "");
}

Result<std::shared_ptr<Container>> Container::create(const SystemPaths& paths) {
  const std::string path = paths.dev + "/vfio/vfio";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return open_error(errno, path);
  if (::ioctl(fd.get(), VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
      ::ioctl(fd.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0) {
    return make_error(std::errc::not_supported, "use", path,
                      "it is not VFIO with a type 1 IOMMU; load vfio_iommu_type1");
  }
  auto impl = std::make_unique<Impl>();
  impl->fd = std::move(fd);
  impl->paths = paths;
  return std::make_shared<Container>(std::move(impl));
}

Container::Container(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Container::~Container() = default;

bool Container::Impl::has_group() const {
  return std::any_of(groups.begin(), groups.end(),
                     [](const auto& entry) { return !entry.second.expired(); });
}

Result<std::shared_ptr<Group>> Container::Impl::join(unsigned number) {
  const std::lock_guard lock(mutex);
  if (auto group = groups[number].lock()) return group;
  const bool first = !has_group();
  auto opened = open_group(number);
  if (!opened) return opened;
  // The container takes its type with its first group, and loses it with its last.
  if (first && ::ioctl(fd.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) {
    return type1_error(errno);
  }
  groups[number] = *opened;
  return opened;
}

Result<std::shared_ptr<Group>> Container::Impl::open_group(unsigned number) {
  const std::string path = fmt::format("{}/vfio/{}", paths.dev, number);
  UniqueFd group(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!group) return open_error(errno, path);
  vfio_group_status status{};
  status.argsz = sizeof(status);
  if (::ioctl(group.get(), VFIO_GROUP_GET_STATUS, &status) != 0) {
    return errno_error(errno, "ask for the status of", path);
  }
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
    return make_error(Errc::kGroupNotViable, "use", path);
  }
  const int container = fd.get();
  if (::ioctl(group.get(), VFIO_GROUP_SET_CONTAINER, &container) != 0) {
    const int error_number = errno;
    // Since Linux 5.19 this is where a group that is not viable shows.
    if (error_number == EPERM || error_number == EBUSY) {
      return make_error(Errc::kGroupNotViable, "use", path);
    }
    return errno_error(error_number, "put into a VFIO container", path);
  }
  return std::make_shared<Group>(number, std::move(group));
}

}  // namespace peermr::vfio
