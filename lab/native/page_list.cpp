// SPDX-License-Identifier: BSD-2-Clause
#include "page_list.hpp"

#include <cerrno>
#include <cstring>

namespace peermr::native {

namespace {

constexpr size_t kFanout = PNIC_PAGE_LIST_FANOUT;

size_t blocks_for(size_t addresses) { return (addresses + kFanout - 1) / kFanout; }

}  // namespace

int make_page_list(Memory& memory, const Pinned& pinned, uint64_t offset, PageList& out) {
  std::vector<uint64_t> level = Memory::page_addresses(pinned);
  out.descriptor = {};
  out.descriptor.offset = offset;
  out.descriptor.num_pages = static_cast<uint32_t>(level.size());
  out.descriptor.page_shift = PNIC_PAGE_SHIFT;

  size_t total = 0;
  for (size_t n = level.size(); n > 1; n = blocks_for(n)) total += blocks_for(n);
  if (total > 0) {
    out.blocks = DriverBuffer::create(memory, total * kPage);
    if (out.blocks == nullptr) return ENOMEM;
  }
  // From the pages up: each round writes the blocks of one level and leaves their addresses.
  size_t block = 0;
  while (level.size() > 1) {
    if (++out.descriptor.levels > PNIC_PAGE_LIST_MAX_LEVELS) return EFBIG;
    std::vector<uint64_t> parents;
    for (size_t at = 0; at < level.size(); at += kFanout, ++block) {
      const size_t n = std::min(kFanout, level.size() - at);
      std::memcpy(out.blocks->data() + block * kPage, &level[at], n * sizeof(uint64_t));
      parents.push_back(out.blocks->iova() + block * kPage);
    }
    level = std::move(parents);
  }
  out.descriptor.addr = level.front();
  return 0;
}

}  // namespace peermr::native
