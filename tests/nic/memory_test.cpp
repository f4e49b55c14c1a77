// SPDX-License-Identifier: BSD-2-Clause
//
// The DMA map and what is built on it, from inside: edges that a client cannot reach, or cannot
// see.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dma_map.hpp"
#include "guest_buffer.hpp"
#include "sigbus_guard.hpp"

namespace peermr::nic {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kTop = ~uint64_t{0};

class Memory : public ::testing::Test {
 protected:
  UniqueFd file(uint64_t bytes) {
    UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    return fd;
  }
  Translation at(uint64_t iova, uint64_t want = kPage) const { return dma.translate(iova, want); }

  DmaMap dma;
  UniqueFd none;
};

TEST_F(Memory, ARangeMayEndAtTheVeryTop) {
  const UniqueFd fd = file(2 * kPage);
  ASSERT_EQ(dma.map(kTop - 2 * kPage + 1, 2 * kPage, 0, true, true, fd), 0);
  EXPECT_EQ(at(kTop, 1).length, 1u);
  EXPECT_EQ(at(kTop, 100).length, 1u);
  EXPECT_EQ(at(kTop - kPage, kTop).length, kPage + 1);
  EXPECT_EQ(at(kTop - 2 * kPage, 1).kind, Translation::Kind::kUnmapped);
  EXPECT_EQ(dma.unmap(kTop - 2 * kPage + 1, 2 * kPage), 0);
  EXPECT_EQ(at(kTop, 1).kind, Translation::Kind::kUnmapped);
}

TEST_F(Memory, NeighboursThatLeadOnAreOnePiece) {
  const UniqueFd fd = file(16 * kPage);
  for (uint64_t i = 0; i < 8; ++i)
    ASSERT_EQ(dma.map(i * kPage, kPage, i * kPage, true, true, fd), 0);
  EXPECT_EQ(at(100, 8 * kPage).length, 8 * kPage - 100);
  // Not onward in the file; not writable; not ours: each ends the piece.
  ASSERT_EQ(dma.map(8 * kPage, kPage, 10 * kPage, true, true, fd), 0);
  ASSERT_EQ(dma.map(9 * kPage, kPage, 11 * kPage, true, false, fd), 0);
  ASSERT_EQ(dma.map(10 * kPage, kPage, 0, true, false, none), 0);
  EXPECT_EQ(at(0, 16 * kPage).length, 8 * kPage);
  EXPECT_EQ(at(8 * kPage, 16 * kPage).length, kPage);
  EXPECT_FALSE(at(9 * kPage, 16 * kPage).writable);
  EXPECT_EQ(at(9 * kPage, 16 * kPage).length, kPage);
  EXPECT_EQ(at(10 * kPage).kind, Translation::Kind::kRemote);
}

TEST_F(Memory, OnlyUnmappingChangesTheGeneration) {
  const UniqueFd fd = file(4 * kPage);
  const uint64_t before = dma.generation();
  ASSERT_EQ(dma.map(0, kPage, 0, true, true, fd), 0);
  EXPECT_EQ(dma.unmap(8 * kPage, kPage), 0);  // nothing there
  EXPECT_EQ(dma.generation(), before);
  EXPECT_EQ(dma.unmap(0, kPage), 0);
  EXPECT_NE(dma.generation(), before);
}

TEST_F(Memory, AFileThatGrowsIsMappedAnew) {
  const UniqueFd fd = file(kPage);
  ASSERT_EQ(dma.map(0, kPage, 0, true, true, fd), 0);
  std::memset(at(0).host, 7, kPage);
  ASSERT_EQ(::ftruncate(fd.get(), 64 * kPage), 0);
  ASSERT_EQ(dma.map(0x100000, kPage, 63 * kPage, true, true, fd), 0);
  at(0x100000).host[0] = std::byte{9};
  EXPECT_EQ(at(0).host[0], std::byte{7});
}

TEST_F(Memory, TruncationPoisonsAndSurvives) {
  SigbusGuard::install();
  const UniqueFd fd = file(4 * kPage);
  ASSERT_EQ(dma.map(0, 4 * kPage, 0, true, true, fd), 0);
  std::byte* memory = at(0).host;
  memory[0] = std::byte{1};
  EXPECT_FALSE(dma.poisoned());
  ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
  const unsigned before = SigbusGuard::poison_count();
  memory[2 * kPage] = std::byte{1};  // goes nowhere, and does not end the process
  EXPECT_EQ(SigbusGuard::poison_count(), before + 1);
  EXPECT_TRUE(dma.poisoned());
  dma.clear();
  EXPECT_FALSE(dma.poisoned());
}

TEST_F(Memory, HolesAreFilledLaterWithoutStaleAnswers) {
  const UniqueFd fd = file(8 * kPage);
  ASSERT_EQ(dma.map(0, kPage, 0, true, true, fd), 0);
  GuestBuffer buffer({0, kPage, 2 * kPage}, 12, 0, 3 * kPage);
  std::vector<std::byte> data(3 * kPage, std::byte{5});
  EXPECT_TRUE(buffer.write(dma, 0, data.data(), kPage));
  EXPECT_FALSE(buffer.write(dma, 0, data.data(), 3 * kPage));
  ASSERT_EQ(dma.map(kPage, 2 * kPage, 4 * kPage, true, true, fd), 0);
  EXPECT_TRUE(buffer.write(dma, 0, data.data(), 3 * kPage));
  ASSERT_EQ(dma.unmap(0, kPage), 0);
  EXPECT_FALSE(buffer.read(dma, 0, data.data(), 1));
  EXPECT_TRUE(buffer.read(dma, kPage, data.data(), kPage));
}

TEST_F(Memory, PiecesFollowPagesOfAnySizeAndOffset) {
  const UniqueFd fd = file(16u << 20);
  ASSERT_EQ(dma.map(0x40000000, 16u << 20, 0, true, true, fd), 0);
  std::byte* base = at(0x40000000).host;
  // Pages of 2 MiB in descending order, beginning in the middle of the first.
  constexpr uint64_t kHuge = 2u << 20;
  std::vector<uint64_t> pages;
  for (uint64_t i = 0; i < 8; ++i) pages.push_back(0x40000000 + (7 - i) * kHuge);
  const uint64_t offset = 12345;
  const uint64_t bytes = 8 * kHuge - offset - 99;
  GuestBuffer buffer(pages, 21, offset, bytes);
  for (const uint64_t position :
       {uint64_t{0}, kHuge - offset - 1, kHuge - offset, 5 * kHuge + 17, bytes - 1}) {
    PieceList list;
    ASSERT_TRUE(buffer.pieces(dma, position, 1, true, list));
    const uint64_t padded = position + offset;
    EXPECT_EQ(list[0].host, base + (7 - padded / kHuge) * kHuge + padded % kHuge);
  }
  PieceList list;
  ASSERT_TRUE(buffer.pieces(dma, 0, bytes, true, list));
  EXPECT_EQ(list.count(), 8u);
  EXPECT_EQ(list.bytes(), bytes);
}

TEST_F(Memory, CopiesMatchWhateverThePiecesAre) {
  std::vector<std::byte> from(1000);
  std::vector<std::byte> to(1000);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7);
  PieceList source;
  PieceList target;
  for (uint32_t at = 0, step = 1; at < 1000; at += step, step = std::min(step + 3, 1000 - at)) {
    source.push({from.data() + at, 0, step});
  }
  for (uint32_t at = 0; at < 1000; at += 125) target.push({to.data() + at, 0, 125});
  copy_pieces(source, target);
  EXPECT_EQ(from, to);
}

TEST_F(Memory, ThePhaseOfAnEntryIsWrittenAcrossAPageBoundary) {
  const UniqueFd fd = file(4 * kPage);
  ASSERT_EQ(dma.map(0, kPage, 0, true, true, fd), 0);
  ASSERT_EQ(dma.map(kPage, kPage, 3 * kPage, true, true, fd), 0);
  GuestBuffer ring({0, kPage}, 12, 40, 2 * kPage - 40);
  std::array<std::byte, 64> entry;
  entry.fill(std::byte{0xab});
  const uint64_t position = kPage - 40 - 10;  // ten bytes before the page ends
  ASSERT_TRUE(ring.write_entry(dma, position, entry.data(), entry.size(), 63));
  std::array<std::byte, 64> back{};
  ASSERT_TRUE(ring.read(dma, position, back.data(), back.size()));
  EXPECT_EQ(entry, back);
}

}  // namespace
}  // namespace peermr::nic
