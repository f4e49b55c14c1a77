// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "guest_buffer.hpp"
#include "hardware.hpp"

namespace peermr::nic {

/// Checks a page list that describes an object of `bytes` bytes, copies it, and makes `out` of it
/// (docs/nic-spec.md, section 5). `max_pages` is what the device still has room for. Returns
/// PNIC_CMD_OK; BAD_PARAM for a list that breaks a rule; NO_RESOURCE beyond max_pages; DMA_ERROR if
/// a block cannot be read.
[[nodiscard]] pnic_cmd_status read_page_list(const DmaMap& dma, const pnic_page_list& list,
                                             uint64_t bytes, uint64_t max_pages, GuestBuffer& out);

/// Copies from plain bus memory that this process can reach; for queues and answers outside of page
/// lists.
[[nodiscard]] bool read_bus(const DmaMap& dma, uint64_t bus, void* to, size_t length);
[[nodiscard]] bool write_bus(const DmaMap& dma, uint64_t bus, const void* from, size_t length);

}  // namespace peermr::nic
