// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "peermr/region.hpp"

namespace peermr::capi {

/// Who is woken when a region changes. In C++ that is settled when the region is made
/// (RegionOptions::on_event); a C program connects what exists.
///
/// Thread-safe.
class Followers {
 public:
  using Wake = std::function<void(const RegionEvent&)>;

  /// Until `wake` is given up by its owner. Adding it twice is adding it once. It must not block.
  void add(const std::shared_ptr<const Wake>& wake);

  /// For RegionOptions::on_event.
  void tell(const RegionEvent& event);

 private:
  std::mutex mutex_;  // protects the list, and is held while they are woken
  std::vector<std::weak_ptr<const Wake>> wakes_;
};

}  // namespace peermr::capi
