// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

namespace peermr::native {

/// An anonymous file of this name passes for a dma-buf in every way.
inline constexpr char kNativeDmaBufName[] = "peermr-native-dma-buf";

/// What the exporter of a dma-buf says of it. Live unless a test said otherwise.
enum class DmaBufState { kLive, kRevoked, kDead };

/// Thread-safe; takes no other lock.
DmaBufState dma_buf_state(dev_t device, ino_t inode);
void set_dma_buf_state(dev_t device, ino_t inode, DmaBufState state);

}  // namespace peermr::native
