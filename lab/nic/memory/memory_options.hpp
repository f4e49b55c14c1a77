// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "peermr/result.hpp"

namespace peermr::nic {

/// What a memory device is to be.
struct MemoryDeviceOptions {
  std::string socket;
  uint64_t size_bytes = 64u << 20;  // of BAR 2; a power of two from 4 KiB to 1 TiB
  bool keeps_memory = true;         // its content outlives resets
};

/// Reads "PATH[,size=SIZE][,volatile]", where SIZE may end in K, M, G or T. PATH holds no comma.
/// Errors: EINVAL, with what is wrong.
Result<MemoryDeviceOptions> parse_memory_device(std::string_view text);

}  // namespace peermr::nic
