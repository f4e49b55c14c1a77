// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/cdev.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

#include "peermr/vfio_cdev.h"
#include "vfio/iommufd.hpp"
#include "vfio/vf_token.hpp"

namespace peermr::vfio {
namespace {

constexpr std::string_view kOpen = "open VFIO device";

Error bind_error(int cause, const std::string& name, bool token) {
  std::string remedy;
  if (cause == EBUSY) remedy = "its IOMMU group is open, here or in another process";
  if (cause == EACCES) {
    remedy = token ? "the VF token is not the one that the owner of the physical function set"
                   : "it takes the VF token that the owner of the physical function set";
  }
  if (cause == EINVAL) {
    remedy =
        token ? "another descriptor has it, or it needs no VF token" : "another descriptor has it";
  }
  return errno_error(cause, kOpen, name, remedy);
}

Result<void> bind_iommufd(const CdevDevice& opened, const std::string& name,
                  const std::optional<VfToken>& token) {
  peermr_vfio_bind request{};
  // Kernels that know no token want the structure without it.
  request.argsz = offsetof(peermr_vfio_bind, token);
  request.iommufd = opened.iommufd.get();
  if (token) {
    request.argsz = sizeof(request);
    request.flags = PEERMR_VFIO_BIND_FLAG_TOKEN;
    request.token = reinterpret_cast<std::uintptr_t>(token->data());
  }
  if (::ioctl(opened.device.get(), PEERMR_VFIO_BIND_IOMMUFD, &request) == 0) return {};
  return bind_error(errno, name, token.has_value());
}

Result<void> attach_space(const CdevDevice& opened, const std::string& name) {
  const auto space = make_address_space(opened.iommufd, name);
  if (!space) return space.error();
  peermr_vfio_attach request{};
  request.argsz = sizeof(request);
  request.pt_id = *space;
  if (::ioctl(opened.device.get(), PEERMR_VFIO_ATTACH_IOMMUFD_PT, &request) != 0) {
    return errno_error(errno, "attach to its address space", name);
  }
  return {};
}

}  // namespace

std::string cdev_path(const Bdf& bdf, const SystemPaths& paths) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fmt::format("{}/bus/pci/devices/{}/vfio-dev", paths.sysfs, bdf.to_string());
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    // Without CONFIG_VFIO_DEVICE_CDEV the folder is there too, but no number of a node.
    if (fs::exists(entry->path() / "dev", error)) {
      return fmt::format("{}/vfio/devices/{}", paths.dev, entry->path().filename().string());
    }
  }
  return {};
}

Result<CdevDevice> open_cdev(const Bdf& bdf, const std::string& vf_token,
                             const SystemPaths& paths) {
  const std::string name = bdf.to_string();
  std::optional<VfToken> token;
  if (!vf_token.empty()) {
    auto parsed = parse_vf_token(vf_token);
    if (!parsed) return parsed.error();
    token = *parsed;
  }
  const std::string path = cdev_path(bdf, paths);
  if (path.empty()) {
    return make_error(std::errc::not_supported, kOpen, name,
                      "it has no character device: that takes Linux 6.6 or later with "
                      "CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV; open it by its group");
  }
  auto iommufd = open_iommufd(paths);
  if (!iommufd) return iommufd.error();
  UniqueFd device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!device) {
    const int cause = errno;
    return errno_error(cause, "open", path,
                       cause == EACCES ? "give this user access to it, or run as root" : "");
  }
  CdevDevice opened{*std::move(iommufd), std::move(device)};
  if (auto bound = bind_iommufd(opened, name, token); !bound) return bound.error();
  if (auto attached = attach_space(opened, name); !attached) return attached.error();
  return opened;
}

}  // namespace peermr::vfio
