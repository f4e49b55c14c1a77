// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/backend_link.hpp"

#include <cerrno>
#include <mutex>

namespace peermr::vfio {

void BackendLink::cut() {
  const std::unique_lock lock(mutex_);
  backend_ = nullptr;
}

int BackendLink::call(ExportCall call, void* argument, std::size_t bytes) const {
  const std::shared_lock lock(mutex_);
  return backend_ == nullptr ? -ENODEV : backend_->call(call, argument, bytes);
}

}  // namespace peermr::vfio
