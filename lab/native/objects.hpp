// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>

#include "event_file.hpp"
#include "memory.hpp"

namespace peermr::native {

/// A place in one of a context's doorbell pages.
struct Slot {
  uint32_t uar = 0;
  uint32_t index = 0;
};

struct PdObject {
  uint32_t pdn = 0;
  int users = 0;
};

/// The dma-buf behind an MR: a file that can be mapped, and that tests can revoke.
struct DmaBufUse {
  UniqueFd fd;
  dev_t device = 0;
  ino_t inode = 0;
  uint64_t offset = 0;  // of the MR's first byte
};

struct MrObject {
  enum class State { kValid, kInvalid, kRevoked };

  uint32_t key = 0;
  uint32_t pd = 0;  // handle
  uint64_t length = 0;
  bool writeable = false;
  State state = State::kValid;
  Pinned pinned;
  std::unique_ptr<DmaBufUse> dma_buf;  // null for memory of the process
};

struct CqObject {
  uint32_t cqn = 0;
  uint64_t user_handle = 0;
  std::shared_ptr<EventFile> channel;
  uint32_t comp_events = 0;  // sent, minus those taken back
  uint32_t async_events = 0;
  int users = 0;
  Slot slot;
  Pinned ring;
};

struct QpObject {
  uint32_t qpn = 0;
  uint64_t user_handle = 0;
  uint32_t pd = 0;
  uint32_t send_cq = 0;
  uint32_t recv_cq = 0;
  uint32_t async_events = 0;
  bool sq_sig_all = false;
  bool in_reset = true;
  Slot slot;
  Pinned sq;
  Pinned rq;
};

/// Objects of one kind by handle.
template <typename T>
class HandleTable {
 public:
  T* find(uint32_t handle) {
    const auto it = objects_.find(handle);
    return it == objects_.end() ? nullptr : it->second.get();
  }
  uint32_t add(std::unique_ptr<T> object) {
    objects_.emplace(++last_, std::move(object));
    return last_;
  }
  void remove(uint32_t handle) { objects_.erase(handle); }
  bool empty() const noexcept { return objects_.empty(); }
  uint32_t any() const { return objects_.begin()->first; }
  auto begin() { return objects_.begin(); }
  auto end() { return objects_.end(); }

 private:
  std::map<uint32_t, std::unique_ptr<T>> objects_;
  uint32_t last_ = 0;
};

}  // namespace peermr::native
