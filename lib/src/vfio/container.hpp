// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "peermr/unique_fd.hpp"
#include "peermr/vfio.hpp"

namespace peermr::vfio {

/// An IOMMU group of which this process has the VFIO descriptor. The kernel gives it out once, so
/// devices of a group share this. Destroying the last one takes the group out of its container.
class Group {
 public:
  Group(unsigned number, UniqueFd fd) noexcept : number_(number), fd_(std::move(fd)) {}

  [[nodiscard]] unsigned number() const noexcept { return number_; }

  /// A descriptor for one device of the group. `vf_token`: empty, or a UUID.
  /// Errors: Errc::kMalformed (token), the errno of VFIO_GROUP_GET_DEVICE_FD.
  [[nodiscard]] Result<UniqueFd> open_device(const Bdf& bdf, const std::string& vf_token) const;

 private:
  unsigned number_;
  UniqueFd fd_;
};

struct Container::Impl {
  UniqueFd fd;
  SystemPaths paths;
  std::mutex mutex;  // protects groups, and with them whether the container has its IOMMU type
  std::map<unsigned, std::weak_ptr<Group>> groups;

  /// The group, opened and put into this container, or the one that is already there.
  /// Errors: the errno of opening it, Errc::kGroupNotViable without detail, or of the ioctls.
  [[nodiscard]] Result<std::shared_ptr<Group>> join(unsigned number);

 private:
  [[nodiscard]] Result<std::shared_ptr<Group>> open_group(unsigned number);
  [[nodiscard]] bool has_group() const;
};

}  // namespace peermr::vfio
