// SPDX-License-Identifier: BSD-2-Clause
#include "guest_buffer.hpp"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>

namespace peermr::nic {

namespace {

// One block holds the pieces of so much of the object: at most 512 pages, so that a rebuild takes
// microseconds.
constexpr unsigned kBlockShift = 21;
constexpr uint64_t kBlockBytes = uint64_t{1} << kBlockShift;

// A piece's length is 32 bits wide.
constexpr uint64_t kMaxPieceBytes = uint64_t{1} << 31;

}  // namespace

void copy_pieces(const PieceList& from, const PieceList& to) noexcept {
  uint32_t i = 0;
  uint32_t j = 0;
  uint32_t used_from = 0;
  uint32_t used_to = 0;
  while (i < from.count() && j < to.count()) {
    const uint32_t step = std::min(from[i].length - used_from, to[j].length - used_to);
    // Both sides are the guest's choice and may overlap.
    std::memmove(to[j].host + used_to, from[i].host + used_from, step);
    used_from += step;
    used_to += step;
    if (used_from == from[i].length) ++i, used_from = 0;
    if (used_to == to[j].length) ++j, used_to = 0;
  }
}

void gather(const PieceList& from, std::byte* to) noexcept {
  for (uint32_t i = 0; i < from.count(); ++i) {
    std::memcpy(to, from[i].host, from[i].length);
    to += from[i].length;
  }
}

void scatter(const std::byte* from, const PieceList& to) noexcept {
  for (uint32_t i = 0; i < to.count(); ++i) {
    std::memcpy(to[i].host, from, to[i].length);
    from += to[i].length;
  }
}

GuestBuffer::GuestBuffer(std::vector<uint64_t> pages, uint8_t page_shift, uint64_t offset,
                         uint64_t bytes)
    : pages_(std::move(pages)), page_shift_(page_shift), offset_(offset), bytes_(bytes) {
  blocks_.resize(((offset + bytes - 1) >> kBlockShift) + 1);
}

void GuestBuffer::build(const DmaMap& dma, size_t index) {
  Block& block = blocks_[index];
  block.pieces.clear();
  bool complete = true;
  const uint64_t page_bytes = uint64_t{1} << page_shift_;
  const uint64_t end = std::min((index + 1) * kBlockBytes, offset_ + bytes_);
  for (uint64_t at = index * kBlockBytes; at < end;) {
    const uint64_t in_page = at & (page_bytes - 1);
    const uint64_t bus = pages_[at >> page_shift_] + in_page;
    const uint64_t want = std::min(page_bytes - in_page, end - at);
    const Translation t = dma.translate(bus, want);
    if (t.kind == Translation::Kind::kUnmapped) {
      complete = false;
      at += std::min(want, uint64_t{4096} - (at & 4095));
      continue;
    }
    CachedPiece* last = block.pieces.empty() ? nullptr : &block.pieces.back();
    const bool joins =
        last != nullptr && last->begin + last->length == at && last->writable == t.writable &&
        (t.host != nullptr ? last->host != nullptr && last->host + last->length == t.host
                           : last->host == nullptr && last->bus + last->length == bus);
    if (joins) {
      last->length += t.length;
    } else {
      block.pieces.push_back({at, t.length, t.host, bus, t.writable});
    }
    at += t.length;
  }
  // A block with holes is not kept: a range that is mapped later does not change the generation.
  block.generation = complete ? dma.generation() : 0;
}

const GuestBuffer::CachedPiece* GuestBuffer::find(const DmaMap& dma, uint64_t padded) {
  const size_t index = padded >> kBlockShift;
  Block& block = blocks_[index];
  if (block.generation != dma.generation()) [[unlikely]]
    build(dma, index);
  const std::vector<CachedPiece>& pieces = block.pieces;
  if (pieces.size() == 1 && pieces[0].begin <= padded &&
      padded - pieces[0].begin < pieces[0].length) {
    return &pieces[0];
  }
  const auto after = std::upper_bound(
      pieces.begin(), pieces.end(), padded,
      [](uint64_t value, const CachedPiece& piece) { return value < piece.begin; });
  if (after == pieces.begin()) return nullptr;
  const CachedPiece& piece = *std::prev(after);
  return padded - piece.begin < piece.length ? &piece : nullptr;
}

bool GuestBuffer::pieces(const DmaMap& dma, uint64_t position, uint64_t length, bool write,
                         PieceList& out) {
  assert(position <= bytes_ && length <= bytes_ - position);
  uint64_t at = offset_ + position;
  while (length > 0 && !out.full()) {
    const CachedPiece* piece = find(dma, at);
    if (piece == nullptr || (write && !piece->writable)) return false;
    const uint64_t skip = at - piece->begin;
    const uint64_t take = std::min({length, piece->length - skip, kMaxPieceBytes});
    out.push({piece->host != nullptr ? piece->host + skip : nullptr, piece->bus + skip,
              static_cast<uint32_t>(take)});
    at += take;
    length -= take;
  }
  return true;
}

std::byte* GuestBuffer::contiguous(const DmaMap& dma, uint64_t position, size_t length,
                                   bool write) {
  const uint64_t at = offset_ + position;
  const CachedPiece* piece = find(dma, at);
  if (piece == nullptr || piece->host == nullptr || (write && !piece->writable)) return nullptr;
  const uint64_t skip = at - piece->begin;
  return length <= piece->length - skip ? piece->host + skip : nullptr;
}

bool GuestBuffer::read(const DmaMap& dma, uint64_t position, void* to, size_t length) {
  if (const std::byte* from = contiguous(dma, position, length, false)) {
    std::memcpy(to, from, length);
    return true;
  }
  PieceList list;
  if (!pieces(dma, position, length, false, list) || list.remote() || list.bytes() != length)
    return false;
  gather(list, static_cast<std::byte*>(to));
  return true;
}

bool GuestBuffer::write(const DmaMap& dma, uint64_t position, const void* from, size_t length) {
  if (std::byte* to = contiguous(dma, position, length, true)) {
    std::memcpy(to, from, length);
    return true;
  }
  PieceList list;
  if (!pieces(dma, position, length, true, list) || list.remote() || list.bytes() != length)
    return false;
  scatter(static_cast<const std::byte*>(from), list);
  return true;
}

bool GuestBuffer::write_entry(const DmaMap& dma, uint64_t position, const void* entry,
                              size_t length, size_t phase_at) {
  const auto* bytes = static_cast<const std::byte*>(entry);
  std::byte* phase = contiguous(dma, position + phase_at, 1, true);
  if (phase == nullptr) return false;
  if (phase_at > 0 && !write(dma, position, bytes, phase_at)) return false;
  const size_t after = phase_at + 1;
  if (after < length && !write(dma, position + after, bytes + after, length - after)) return false;
  std::atomic_ref<std::byte>(*phase).store(bytes[phase_at], std::memory_order_release);
  return true;
}

}  // namespace peermr::nic
