// SPDX-License-Identifier: BSD-2-Clause
#include <cstddef>
#include <cstring>
#include <optional>

#include "capi/handles.hpp"

namespace peermr::capi {
namespace {

// An older program's struct is shorter: what it does not know is 0.
Result<peermr_region_options> complete(const peermr_region_options* given) {
  peermr_region_options options{};
  if (given == nullptr) return options;
  if (given->size < offsetof(peermr_region_options, flags) || given->size > sizeof(options)) {
    return make_error(std::errc::invalid_argument, "register region", "",
                      "options.size is not the size of the struct");
  }
  std::memcpy(&options, given, given->size);
  return options;
}

std::optional<RevokePolicy> revoke_policy(int32_t value) {
  switch (value) {
    case PEERMR_ON_REVOKE_PAUSE:
      return RevokePolicy::kPause;
    case PEERMR_ON_REVOKE_FAIL:
      return RevokePolicy::kFail;
    case PEERMR_ON_REVOKE_HAND_OVER:
      return RevokePolicy::kHandOver;
    default:
      return std::nullopt;
  }
}

Result<RegionOptions> from_complete(const peermr_region_options& options) {
  const auto on_revoke = revoke_policy(options.on_revoke);
  if (!on_revoke || (options.flags & ~PEERMR_REGION_ADDRESS) != 0 ||
      (options.keys != PEERMR_KEYS_STABLE && options.keys != PEERMR_KEYS_FRESH)) {
    return make_error(std::errc::invalid_argument, "register region", "",
                      "unknown flags or policy");
  }
  RegionOptions result;
  result.offset_bytes = options.offset;
  result.length_bytes = options.length;
  if ((options.flags & PEERMR_REGION_ADDRESS) != 0) result.address = Iova(options.address);
  if (options.access != 0) result.access = options.access;
  result.on_revoke = *on_revoke;
  if (options.keys == PEERMR_KEYS_FRESH) result.keys = KeyPolicy::kFresh;
  if (options.monitor != nullptr) result.monitor = &options.monitor->monitor;
  if (options.events != nullptr) result.events = &options.events->queue;
  result.cookie = options.cookie;
  return result;
}

}  // namespace

RegionOptions with_followers(RegionOptions options, const std::shared_ptr<Followers>& followers) {
  options.on_event = [followers](const RegionEvent& event) { followers->tell(event); };
  return options;
}

Result<RegionOptions> to_cpp(const peermr_region_options* options) {
  return complete(options).and_then(from_complete);
}

}  // namespace peermr::capi
