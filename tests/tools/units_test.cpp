// SPDX-License-Identifier: BSD-2-Clause
#include "base/units.hpp"

#include <gmock/gmock.h>

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(ParseBytes, TakesNumbersWithAndWithoutSuffix) {
  EXPECT_EQ(*parse_bytes("0"), 0u);
  EXPECT_EQ(*parse_bytes("4096"), 4096u);
  EXPECT_EQ(*parse_bytes("4K"), 4096u);
  EXPECT_EQ(*parse_bytes("4k"), 4096u);
  EXPECT_EQ(*parse_bytes("64KiB"), 65536u);
  EXPECT_EQ(*parse_bytes("1M"), 1u << 20);
  EXPECT_EQ(*parse_bytes("2G"), 2ull << 30);
  EXPECT_EQ(*parse_bytes("1T"), 1ull << 40);
  EXPECT_EQ(*parse_bytes("0x1000"), 4096u);
  EXPECT_EQ(*parse_bytes("0x10K"), 16384u);
}

TEST(ParseBytes, RefusesWhatIsNotASize) {
  for (const char* text : {"", "K", "-1", "+1", " 1", "1 K", "1KK", "1x", "0x", "4.5K", "1iB"}) {
    auto size = parse_bytes(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code(), make_error_code(Errc::kMalformed)) << text;
  }
}

TEST(ParseBytes, RefusesMoreThan64Bits) {
  EXPECT_EQ(*parse_bytes("18446744073709551615"), ~0ull);
  for (const char* text : {"18446744073709551616", "16777216T", "0x10000000000000000"}) {
    auto size = parse_bytes(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code(), std::errc::result_out_of_range) << text;
  }
}

TEST(ParseSizes, TakesAListInItsOrder) {
  EXPECT_THAT(*parse_sizes("64K,8,1M"), ElementsAre(65536u, 8u, 1u << 20));
}

TEST(ParseSizes, RefusesEmptyPartsAndZero) {
  for (const char* text : {"", ",", "4K,", ",4K", "4K,,1M", "0", "4K,0"}) {
    EXPECT_FALSE(parse_sizes(text)) << text;
  }
}

TEST(FormatBytes, UsesTheLargestWholeUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1000), "1000 B");
  EXPECT_EQ(format_bytes(4096), "4 KiB");
  EXPECT_EQ(format_bytes(1u << 20), "1 MiB");
  EXPECT_EQ(format_bytes((1u << 20) + 1024), "1025 KiB");
  EXPECT_EQ(format_bytes_short(65536), "64K");
}

TEST(FormatFigure, KeepsThreeDigits) {
  EXPECT_EQ(format_figure(12345.6), "12346");
  EXPECT_EQ(format_figure(87.25), "87.2");
  EXPECT_EQ(format_figure(1.234), "1.23");
  EXPECT_EQ(format_figure(0.1234), "0.123");
}

TEST(Duration, IsSecondsOrHasAUnit) {
  EXPECT_EQ(parse_duration("30").value(), 30s);
  EXPECT_EQ(parse_duration("250ms").value(), 250ms);
  EXPECT_EQ(parse_duration("30s").value(), 30s);
  EXPECT_EQ(parse_duration("5m").value(), 5min);
  EXPECT_EQ(parse_duration("2h").value(), 2h);
  for (const char* text : {"", "s", "0", "0ms", "-1", "1.5s", "3d", "1 s", "99999999999999999999",
                           "18446744073709551615h", "8761h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Duration, IsShownInMillisecondsOrSeconds) {
  EXPECT_EQ(format_duration(30s), "30 s");
  EXPECT_EQ(format_duration(1500ms), "1.5 s");
  EXPECT_EQ(format_duration(250ms), "250 ms");
  EXPECT_EQ(format_duration(412us), "0.412 ms");
}

}  // namespace
}  // namespace peermr::tool
