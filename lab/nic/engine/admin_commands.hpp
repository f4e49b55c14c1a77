// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "hardware.hpp"

namespace peermr::nic {

struct NicCore;

/// How a command ended, or that it has not ended yet.
struct CommandResult {
  enum class Kind {
    kDone,
    kFence,     // when nothing is in flight through the MR `handle`
    kSelfTest,  // the caller measures
  };
  Kind kind = Kind::kDone;
  pnic_cmd_status status = PNIC_CMD_OK;
  uint64_t result = 0;
  uint32_t handle = 0;
};

/// Executes one admin command (docs/nic-spec.md, section 6). A status other than OK means no
/// effect.
CommandResult execute_command(NicCore& core, const pnic_cmd& command);

/// Whether nothing is in flight through the MR `key`; ends a DESTROY_MR that has waited for it.
bool fence_reached(NicCore& core, uint32_t key);

}  // namespace peermr::nic
