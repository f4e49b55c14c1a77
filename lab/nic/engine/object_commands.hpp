// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "admin_commands.hpp"

namespace peermr::nic {

/// The commands for PDs, UARs, EQs, CQs and QPs; BAD_OPCODE for anything else.
CommandResult execute_object_command(NicCore& core, const pnic_cmd& command);

}  // namespace peermr::nic
