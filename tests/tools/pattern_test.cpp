// SPDX-License-Identifier: BSD-2-Clause
#include "bench/pattern.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace peermr::tool {
namespace {

constexpr std::uint64_t kSeed = 42;

// Memory that holds what a row leaves behind: pattern in the messages, poison between them.
class PatternTest : public testing::Test {
 protected:
  void lay_out(std::uint64_t size, std::uint64_t slots, std::uint64_t room = 1u << 20) {
    layout_ = *Layout::fit(size, slots, room);
    memory_.assign(layout_.span_bytes() / 8, 0);
    std::vector<std::uint64_t> pattern(memory_.size());
    fill_pattern({pattern.data(), pattern.size()}, layout_, kSeed);
    fill_poison(words(), layout_, kSeed);
    for (std::uint64_t slot = 0; slot < layout_.slots; ++slot) {
      const std::uint64_t at = slot * layout_.stride_bytes;
      std::memcpy(bytes() + at, reinterpret_cast<char*>(pattern.data()) + at, size);
    }
  }
  Words words() { return {memory_.data(), memory_.size()}; }
  char* bytes() { return reinterpret_cast<char*>(memory_.data()); }
  std::optional<Mismatch> mismatch() { return find_mismatch(words(), layout_, kSeed); }

  Layout layout_;
  std::vector<std::uint64_t> memory_;
};

TEST_F(PatternTest, WrittenMessagesMatch) {
  for (std::uint64_t size : {1u, 7u, 8u, 9u, 63u, 64u, 65u, 4096u, 5000u}) {
    lay_out(size, 5);
    EXPECT_FALSE(mismatch()) << size;
  }
}

TEST_F(PatternTest, EveryFlippedByteIsFound) {
  lay_out(13, 3);
  for (std::uint64_t at = 0; at < layout_.span_bytes(); ++at) {
    bytes()[at] = static_cast<char>(bytes()[at] ^ 1);
    const auto found = mismatch();
    ASSERT_TRUE(found) << at;
    EXPECT_EQ(found->offset_bytes, at);
    EXPECT_EQ(found->wrong_bytes, 1u);
    EXPECT_EQ(found->outside, at % layout_.stride_bytes >= 13);
    bytes()[at] = static_cast<char>(bytes()[at] ^ 1);
  }
}

TEST_F(PatternTest, AMessageThatNeverArrivedIsNamedSo) {
  lay_out(4096, 4);
  std::vector<std::uint64_t> poison(memory_.size());
  fill_poison({poison.data(), poison.size()}, layout_, kSeed);
  std::memcpy(bytes() + 2 * 4096, reinterpret_cast<char*>(poison.data()) + 2 * 4096, 4096);
  const auto found = mismatch();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->offset_bytes, 2u * 4096);
  EXPECT_EQ(found->wrong_bytes, 4096u);
  EXPECT_TRUE(found->poison);
}

TEST_F(PatternTest, SwappedMessagesAreWrong) {
  lay_out(64, 2);
  for (int i = 0; i < 64; ++i) std::swap(bytes()[i], bytes()[64 + i]);
  EXPECT_TRUE(mismatch());
}

TEST_F(PatternTest, AnotherSeedIsWrongNearlyEverywhere) {
  lay_out(4096, 1);
  const auto found = find_mismatch(words(), layout_, kSeed + 1);
  ASSERT_TRUE(found);
  EXPECT_GT(found->wrong_bytes, 4000u);
}

TEST(Layout, FitsNoMoreSlotsThanThereIsRoom) {
  auto layout = Layout::fit(4096, 32, 10000);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->slots, 2u);
  EXPECT_EQ(Layout::fit(8, 4, 1u << 20)->stride_bytes, 64u);
  EXPECT_EQ(Layout::fit(8, 4, 1u << 20)->slots, 4u);
}

TEST(Layout, RefusesWhatDoesNotFit) {
  for (auto [size, room] :
       {std::pair{0ull, 4096ull}, {4097ull, 4096ull}, {60ull, 60ull}, {~0ull, ~0ull}}) {
    EXPECT_FALSE(Layout::fit(size, 1, room)) << size;
  }
}

TEST(Layout, FromAPeerIsCheckedWithoutOverflow) {
  EXPECT_TRUE((Layout{64, 64, 64}.valid_within(4096)));
  EXPECT_FALSE((Layout{64, 64, 65}.valid_within(4096)));
  EXPECT_FALSE((Layout{64, 64, 1ull << 58}.valid_within(4096)));
  EXPECT_FALSE((Layout{64, 1ull << 63, 2}.valid_within(~0ull)));
  EXPECT_FALSE((Layout{65, 64, 1}.valid_within(4096)));
  EXPECT_FALSE((Layout{8, 12, 1}.valid_within(4096)));
  EXPECT_FALSE((Layout{0, 64, 1}.valid_within(4096)));
  EXPECT_FALSE((Layout{64, 64, 0}.valid_within(4096)));
}

}  // namespace
}  // namespace peermr::tool
