// SPDX-License-Identifier: BSD-2-Clause
#include "dma_map.hpp"

#include <algorithm>
#include <cerrno>

#include "base/checked.hpp"
#include "base/log.hpp"

namespace peermr::nic {

namespace {

constexpr uint64_t kPageBytes = 4096;

/// The last address of a range, if it is not empty and does not wrap.
bool last_of(uint64_t first, uint64_t size, uint64_t& last) {
  if (size == 0 || size - 1 > UINT64_MAX - first) return false;
  last = first + (size - 1);
  return true;
}

}  // namespace

int DmaMap::map(uint64_t iova, uint64_t size, uint64_t offset, bool readable, bool writable,
                const UniqueFd& fd) {
  uint64_t last = 0;
  if (!readable || !last_of(iova, size, last)) return EINVAL;
  if (!is_aligned(iova | size | offset, kPageBytes)) return EINVAL;
  // The first range that ends at or after iova is the only one that can overlap from below.
  auto next = ranges_.upper_bound(iova);
  if (next != ranges_.end() && next->first <= last) return EEXIST;
  if (next != ranges_.begin() && std::prev(next)->second.last >= iova) return EEXIST;
  if (ranges_.size() >= kMaxRanges) return ENOSPC;

  Range range{last, writable, nullptr, nullptr};
  if (fd) {
    auto file = files_.get(fd, offset, size, writable);
    if (!file) {
      log(LogLevel::kWarning, "{}", file.error().message());
      const int error = file.error().code().value();
      return error > 0 ? error : EINVAL;
    }
    range.file = *std::move(file);
    range.host = range.file->at(offset);
  }
  ranges_.emplace_hint(next, iova, std::move(range));
  return 0;
}

int DmaMap::unmap(uint64_t iova, uint64_t size) {
  uint64_t last = 0;
  if (!last_of(iova, size, last)) return EINVAL;
  const auto begin = ranges_.lower_bound(iova);
  if (begin != ranges_.begin() && std::prev(begin)->second.last >= iova) return EINVAL;
  auto end = begin;
  for (; end != ranges_.end() && end->first <= last; ++end) {
    if (end->second.last > last) return EINVAL;
  }
  if (begin == end) return 0;
  ++generation_;
  ranges_.erase(begin, end);
  return 0;
}

void DmaMap::clear() noexcept {
  ++generation_;
  ranges_.clear();
}

Translation DmaMap::translate(uint64_t iova, uint64_t want) const noexcept {
  Translation result;
  auto it = ranges_.upper_bound(iova);
  if (it == ranges_.begin() || want == 0) return result;
  --it;
  if (it->second.last < iova) return result;

  const Range& range = it->second;
  result.writable = range.writable;
  result.kind = range.host != nullptr ? Translation::Kind::kHost : Translation::Kind::kRemote;
  if (range.host != nullptr) result.host = range.host + (iova - it->first);
  // Inclusive arithmetic: the length of a range that ends at the top does not fit when it begins at
  // zero.
  uint64_t reach = range.last - iova;  // one less than the bytes in reach
  while (reach < want - 1) {
    const uint64_t previous_last = it->second.last;
    const auto following = std::next(it);
    if (following == ranges_.end() || previous_last == UINT64_MAX ||
        following->first != previous_last + 1)
      break;
    const Range& more = following->second;
    if (more.writable != range.writable || (more.host == nullptr) != (range.host == nullptr)) break;
    if (more.host != nullptr && more.host != result.host + reach + 1) break;
    it = following;
    reach = more.last - iova;
  }
  result.length = std::min(reach, want - 1) + 1;
  return result;
}

}  // namespace peermr::nic
