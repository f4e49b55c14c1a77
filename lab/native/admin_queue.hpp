// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/pnic_hw.h>

#include <cstdint>
#include <memory>

#include "client.hpp"
#include "memory.hpp"

namespace peermr::native {

/// The device's admin queue (docs/nic-spec.md, section 3), one command at a time. Not thread-safe:
/// the device's lock serialises calls.
class AdminQueue {
 public:
  AdminQueue(Client& client, Memory& memory) : client_(client), memory_(memory) {}

  /// Brings the device up: gives it the queues and enables it. `eventfd` is raised by `vector`.
  int start(uint32_t vector, int eventfd);

  /// Carries a command out and waits. Gives the command's result; the device's refusals become
  /// errno values, EIO and ETIMEDOUT mean that it is gone.
  int execute(pnic_cmd& command, uint64_t* result = nullptr);

  /// QUERY_DEVICE, QUERY_QP, QUERY_STATS: as execute(), and copies the answer.
  int query(pnic_opcode opcode, uint32_t handle, void* answer, size_t bytes);

 private:
  int wait(pnic_admin_comp& comp);

  Client& client_;
  Memory& memory_;
  std::unique_ptr<DriverBuffer> submissions_;
  std::unique_ptr<DriverBuffer> completions_;
  std::unique_ptr<DriverBuffer> answer_;
  int eventfd_ = -1;
  uint32_t count_ = 0;  // commands ever submitted; each is waited for
  bool dead_ = false;
};

/// A command of zeros but for its opcode.
pnic_cmd make_command(pnic_opcode opcode);

}  // namespace peermr::native
