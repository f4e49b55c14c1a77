// SPDX-License-Identifier: BSD-2-Clause
#include "connection/remote_regions.hpp"

#include <fmt/format.h>

#include <string>

namespace peermr::detail {
namespace {

Error refuse(const RegionDescriptor& descriptor, const std::string& why) {
  return make_error(Errc::kMalformed, "take descriptor of",
                    fmt::format("region {:#x}", descriptor.id.value()), why);
}

}  // namespace

Result<std::uint32_t> RemoteRegions::apply(const RegionDescriptor& descriptor) {
  const auto found = find(descriptor.id);
  if (!found) {
    if (regions_.size() == limit_) {
      return refuse(descriptor, fmt::format("there are {} regions already", limit_));
    }
    const auto index = static_cast<std::uint32_t>(regions_.size());
    regions_.push_back({.descriptor = descriptor, .told = descriptor.generation});
    index_[descriptor.id.value()] = index;
    return index;
  }
  RemoteRegion& region = regions_[*found];
  const RegionDescriptor& known = region.descriptor;
  if (known.state == DescriptorState::kDead) return refuse(descriptor, "it was dead");
  if (descriptor.generation < known.generation) return refuse(descriptor, "an older generation");
  if (descriptor.key_epoch < known.key_epoch) return refuse(descriptor, "an older key");
  region.descriptor = descriptor;
  return *found;
}

std::optional<std::uint32_t> RemoteRegions::find(RegionId id) const noexcept {
  const auto found = index_.find(id.value());
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

}  // namespace peermr::detail
