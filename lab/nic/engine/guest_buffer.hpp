// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dma_map.hpp"

namespace peermr::nic {

/// A contiguous piece of guest memory as this process sees it.
struct Piece {
  std::byte* host = nullptr;  // null: only the client can reach it, at `bus`
  uint64_t bus = 0;
  uint32_t length = 0;
};

/// A short list of pieces: what one segment of a message covers. Fixed size, no allocation.
class PieceList {
 public:
  static constexpr uint32_t kCapacity = 96;

  void clear() noexcept { count_ = 0, bytes_ = 0, remote_ = false; }
  bool full() const noexcept { return count_ == kCapacity; }
  void push(const Piece& piece) noexcept {
    pieces_[count_++] = piece;
    bytes_ += piece.length;
    remote_ = remote_ || piece.host == nullptr;
  }
  /// Drops all pieces from `count` on.
  void truncate(uint32_t count) noexcept {
    const uint32_t keep = count;
    clear();
    while (count_ < keep) push(pieces_[count_]);
  }
  uint32_t count() const noexcept { return count_; }
  uint64_t bytes() const noexcept { return bytes_; }
  /// True if a piece is not memory of this process.
  bool remote() const noexcept { return remote_; }
  const Piece& operator[](uint32_t index) const noexcept { return pieces_[index]; }

 private:
  std::array<Piece, kCapacity> pieces_;
  uint32_t count_ = 0;
  uint64_t bytes_ = 0;
  bool remote_ = false;
};

/// Copies `from` to `to`, which hold the same number of bytes, all of it in this process. Overlaps
/// are allowed.
void copy_pieces(const PieceList& from, const PieceList& to) noexcept;

/// Copies plain memory to or from pieces of this process, from byte `skip` of the pieces on.
void gather(const PieceList& from, std::byte* to) noexcept;
void scatter(const std::byte* from, const PieceList& to) noexcept;

/// What a page list describes: pages of the bus, and an object of `bytes` bytes that begins
/// `offset` bytes into the first one. Translations to host memory are cached in blocks, each with
/// the generation of the DMA map that it was made in; a block is rebuilt when that has changed.
/// Steady state does not allocate. Single-threaded.
class GuestBuffer {
 public:
  GuestBuffer() = default;
  GuestBuffer(std::vector<uint64_t> pages, uint8_t page_shift, uint64_t offset, uint64_t bytes);

  uint64_t bytes() const noexcept { return bytes_; }
  size_t num_pages() const noexcept { return pages_.size(); }

  /// Appends pieces for [position, position + length), which lies inside the object, to `out` until
  /// it is full. `write`: the device will write there. False: a part is not mapped, or not
  /// writable; `out` is then of no use.
  [[nodiscard]] bool pieces(const DmaMap& dma, uint64_t position, uint64_t length, bool write,
                            PieceList& out);

  /// Copies out of, or into, the object; the range lies inside. False: a part is not memory that
  /// this process can reach, or is not writable.
  [[nodiscard]] bool read(const DmaMap& dma, uint64_t position, void* to, size_t length);
  [[nodiscard]] bool write(const DmaMap& dma, uint64_t position, const void* from, size_t length);

  /// As write(), for an entry of a ring whose consumer polls byte `phase_at`: that byte is stored
  /// last, and everything else is visible before it.
  [[nodiscard]] bool write_entry(const DmaMap& dma, uint64_t position, const void* entry,
                                 size_t length, size_t phase_at);

 private:
  struct CachedPiece {
    uint64_t begin;  // within the padded object
    uint64_t length;
    std::byte* host;
    uint64_t bus;
    bool writable;
  };
  struct Block {
    uint64_t generation = 0;  // 0: to be built
    std::vector<CachedPiece> pieces;
  };

  const CachedPiece* find(const DmaMap& dma, uint64_t padded);
  void build(const DmaMap& dma, size_t index);
  std::byte* contiguous(const DmaMap& dma, uint64_t position, size_t length, bool write);

  std::vector<uint64_t> pages_;
  std::vector<Block> blocks_;
  uint8_t page_shift_ = 12;
  uint64_t offset_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace peermr::nic
