// SPDX-License-Identifier: BSD-2-Clause
#include "dma_buf_table.hpp"

#include <map>
#include <mutex>
#include <utility>

namespace peermr::native {

namespace {

std::mutex mutex;  // states()

// Those that aren't live.
std::map<std::pair<dev_t, ino_t>, DmaBufState>& states() {
  static auto* map = new std::map<std::pair<dev_t, ino_t>, DmaBufState>;
  return *map;
}

}  // namespace

DmaBufState dma_buf_state(dev_t device, ino_t inode) {
  const std::lock_guard guard(mutex);
  const auto it = states().find({device, inode});
  return it == states().end() ? DmaBufState::kLive : it->second;
}

void set_dma_buf_state(dev_t device, ino_t inode, DmaBufState state) {
  const std::lock_guard guard(mutex);
  if (state == DmaBufState::kLive)
    states().erase({device, inode});
  else
    states()[{device, inode}] = state;
}

}  // namespace peermr::native
