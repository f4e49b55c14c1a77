// SPDX-License-Identifier: BSD-2-Clause
#include "capi/followers.hpp"

#include <algorithm>

namespace peermr::capi {

void Followers::add(const std::shared_ptr<const Wake>& wake) {
  const std::lock_guard lock(mutex_);
  std::erase_if(wakes_, [](const auto& other) { return other.expired(); });
  const bool there = std::any_of(wakes_.begin(), wakes_.end(),
                                 [&](const auto& other) { return other.lock() == wake; });
  if (!there) wakes_.push_back(wake);
}

void Followers::tell(const RegionEvent& event) {
  const std::lock_guard lock(mutex_);
  for (const auto& one : wakes_) {
    if (const auto wake = one.lock()) (*wake)(event);
  }
}

}  // namespace peermr::capi
