// SPDX-License-Identifier: BSD-2-Clause
#include "page_list.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"

namespace peermr::nic {

namespace {

using Block = std::array<uint64_t, PNIC_PAGE_LIST_FANOUT>;

/// Reads the first `count` addresses of a block. Blocks are aligned to 4 KiB, as pages are.
bool read_block(const DmaMap& dma, uint64_t bus, size_t count, Block& block) {
  return is_aligned<uint64_t>(bus, PNIC_PAGE_SIZE) &&
         read_bus(dma, bus, block.data(), count * sizeof(uint64_t));
}

/// Appends the pages below a block of `level` (1: the block lists pages).
bool walk(const DmaMap& dma, uint64_t bus, unsigned level, uint64_t num_pages,
          std::vector<uint64_t>& pages) {
  uint64_t per_entry = 1;
  for (unsigned i = 1; i < level; ++i) per_entry *= PNIC_PAGE_LIST_FANOUT;
  const uint64_t left = num_pages - pages.size();
  const auto count = static_cast<size_t>(
      std::min<uint64_t>((left + per_entry - 1) / per_entry, PNIC_PAGE_LIST_FANOUT));
  Block block;
  if (!read_block(dma, bus, count, block)) return false;
  if (level == 1) {
    pages.insert(pages.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(count));
    return true;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!walk(dma, block[i], level - 1, num_pages, pages)) return false;
  }
  return true;
}

}  // namespace

bool read_bus(const DmaMap& dma, uint64_t bus, void* to, size_t length) {
  auto* out = static_cast<std::byte*>(to);
  while (length > 0) {
    const Translation t = dma.translate(bus, length);
    if (t.kind != Translation::Kind::kHost) return false;
    std::memcpy(out, t.host, t.length);
    out += t.length;
    bus += t.length;
    length -= t.length;
  }
  return true;
}

bool write_bus(const DmaMap& dma, uint64_t bus, const void* from, size_t length) {
  const auto* in = static_cast<const std::byte*>(from);
  while (length > 0) {
    const Translation t = dma.translate(bus, length);
    if (t.kind != Translation::Kind::kHost || !t.writable) return false;
    std::memcpy(t.host, in, t.length);
    in += t.length;
    bus += t.length;
    length -= t.length;
  }
  return true;
}

pnic_cmd_status read_page_list(const DmaMap& dma, const pnic_page_list& list, uint64_t bytes,
                               uint64_t max_pages, GuestBuffer& out) {
  if (list.page_shift < PNIC_PAGE_SHIFT_MIN || list.page_shift > PNIC_PAGE_SHIFT_MAX ||
      list.reserved != 0 || list.levels > PNIC_PAGE_LIST_MAX_LEVELS) {
    return PNIC_CMD_BAD_PARAM;
  }
  const uint64_t page_bytes = uint64_t{1} << list.page_shift;
  const auto padded = checked_add<uint64_t>(list.offset, bytes);
  if (bytes == 0 || list.offset >= page_bytes || !padded) return PNIC_CMD_BAD_PARAM;
  if (list.num_pages != ((*padded - 1) >> list.page_shift) + 1) return PNIC_CMD_BAD_PARAM;
  uint64_t reach = 1;
  for (unsigned i = 0; i < list.levels; ++i) reach *= PNIC_PAGE_LIST_FANOUT;
  if (list.num_pages > reach) return PNIC_CMD_BAD_PARAM;
  if (list.num_pages > max_pages) return PNIC_CMD_NO_RESOURCE;

  std::vector<uint64_t> pages;
  if (list.levels == 0) {
    pages.push_back(list.addr);
  } else {
    if (!is_aligned<uint64_t>(list.addr, PNIC_PAGE_SIZE)) return PNIC_CMD_BAD_PARAM;
    // No reserve(): a hostile count must not allocate before there is data behind it.
    if (!walk(dma, list.addr, list.levels, list.num_pages, pages)) return PNIC_CMD_DMA_ERROR;
  }
  for (const uint64_t page : pages) {
    if (!is_aligned(page, page_bytes)) return PNIC_CMD_BAD_PARAM;
  }
  out = GuestBuffer(std::move(pages), list.page_shift, list.offset, bytes);
  return PNIC_CMD_OK;
}

}  // namespace peermr::nic
