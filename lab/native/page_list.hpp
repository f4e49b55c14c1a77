// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/pnic_hw.h>

#include <memory>
#include <vector>

#include "memory.hpp"

namespace peermr::native {

/// A pnic_page_list with the blocks it points to, which must live until the command that uses it
/// has completed.
struct PageList {
  pnic_page_list descriptor{};
  std::unique_ptr<DriverBuffer> blocks;  // null for a single page
};

/// Describes pinned memory whose object begins `offset` bytes into the first page (docs/nic-spec.md,
/// section 5). 0, ENOMEM, or EFBIG when the tree would have more than three levels.
int make_page_list(Memory& memory, const Pinned& pinned, uint64_t offset, PageList& out);

}  // namespace peermr::native
