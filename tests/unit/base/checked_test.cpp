// SPDX-License-Identifier: BSD-2-Clause
#include "base/checked.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "base/text.hpp"

namespace peermr {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

TEST(Checked, SumsAndProductsThatDoNotFitAreNothing) {
  EXPECT_EQ(checked_add<std::uint64_t>(kMax - 1, 1), kMax);
  EXPECT_FALSE(checked_add<std::uint64_t>(kMax, 1));
  EXPECT_EQ(checked_mul<std::uint32_t>(0xffff, 0x10001), 0xffffffffu);
  EXPECT_FALSE(checked_mul<std::uint32_t>(0x10000, 0x10000));
}

TEST(Checked, RangeWhoseSumWrapsIsNotInside) {
  EXPECT_TRUE(range_in<std::uint64_t>(0, 16, 16));
  EXPECT_TRUE(range_in<std::uint64_t>(16, 0, 16));
  EXPECT_FALSE(range_in<std::uint64_t>(17, 0, 16));
  EXPECT_FALSE(range_in<std::uint64_t>(1, 16, 16));
  EXPECT_FALSE(range_in<std::uint64_t>(8, kMax - 4, 16));
}

TEST(Checked, AlignUpThatDoesNotFitIsNothing) {
  EXPECT_EQ(align_up<std::uint64_t>(1, 4096), 4096u);
  EXPECT_EQ(align_up<std::uint64_t>(4096, 4096), 4096u);
  EXPECT_FALSE(align_up<std::uint64_t>(kMax, 4096));
  EXPECT_EQ(align_down<std::uint64_t>(kMax, 4096), kMax - 4095);
}

TEST(Text, NumbersAreTakenWholeOrNotAtAll) {
  EXPECT_EQ(parse_number<std::uint8_t>("255"), 255);
  EXPECT_FALSE(parse_number<std::uint8_t>("256"));
  EXPECT_FALSE(parse_number<std::uint8_t>("-1"));
  EXPECT_FALSE(parse_number<std::uint8_t>("+1"));
  EXPECT_FALSE(parse_number<std::uint8_t>("1 "));
  EXPECT_FALSE(parse_number<std::uint8_t>(""));
  EXPECT_EQ(parse_hex<std::uint16_t>("0x8086"), 0x8086);
  EXPECT_EQ(parse_hex<std::uint16_t>("8086"), 0x8086);
  EXPECT_FALSE(parse_hex<std::uint16_t>("0x"));
  EXPECT_FALSE(parse_hex<std::uint16_t>("0x0x10"));
}

TEST(Text, SplitKeepsEmptyParts) {
  EXPECT_EQ(split("a::b", ':'), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ':'), (std::vector<std::string_view>{""}));
  EXPECT_EQ(trim(" \ta b\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
}

}  // namespace
}  // namespace peermr
