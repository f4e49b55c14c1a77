// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "vfio/checks.hpp"

namespace peermr::vfio {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

constexpr Bar kBar{.index = BarIndex(2),
                   .start = 0xf0000000,
                   .size_bytes = 16 * kPage,
                   .memory = true,
                   .prefetchable = true,
                   .is_64bit = true};

Result<std::uint64_t> check(const std::vector<BarRange>& ranges, const Bar* bar = &kBar) {
  return check_ranges("export dma-buf of", "0000:04:00.0 BAR 2", bar, ranges, kPage);
}

TEST(ExportRanges, MayCoverAllOfTheBarAndOverlap) {
  EXPECT_EQ(check({{0, 16 * kPage}}).value(), 16 * kPage);
  EXPECT_EQ(check({{15 * kPage, kPage}, {0, 2 * kPage}, {kPage, kPage}}).value(), 4 * kPage);
}

struct BadRange {
  std::vector<BarRange> ranges;
  const char* message;
};

class ExportRangesRefused : public testing::TestWithParam<BadRange> {};

TEST_P(ExportRangesRefused, NamesBarRangeAndReason) {
  const auto result = check(GetParam().ranges);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), std::errc::invalid_argument);
  EXPECT_THAT(result.error().message(),
              HasSubstr("export dma-buf of 0000:04:00.0 BAR 2: Invalid argument: "));
  EXPECT_THAT(result.error().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, ExportRangesRefused,
    testing::Values(BadRange{{}, "no range"}, BadRange{{{0, 0}}, "range 0 is empty"},
                    BadRange{{{0, kPage}, {kPage, 0}}, "range 1 is empty"},
                    BadRange{{{1, kPage}}, "range 0 (0x1+0x1000) is not aligned"},
                    BadRange{{{0, kPage - 1}}, "not aligned to the page size, 4096"},
                    BadRange{{{0, 17 * kPage}}, "range 0 (0x0+0x11000) ends past the BAR"},
                    BadRange{{{0, kPage}, {16 * kPage, kPage}}, "range 1"},
                    BadRange{{{17 * kPage, kPage}}, "ends past the BAR, which has 0x10000 bytes"},
                    BadRange{{{kMax - kPage + 1, kPage}}, "ends past the BAR"},
                    BadRange{{{kPage, kMax - kPage + 1}}, "ends past the BAR"}));

TEST(ExportRanges, BarMustExistAndBeMemory) {
  EXPECT_THAT(check({{0, kPage}}, nullptr).error().message(), HasSubstr("no such BAR"));
  Bar ports = kBar;
  ports.memory = false;
  EXPECT_THAT(check({{0, kPage}}, &ports).error().message(), HasSubstr("I/O ports"));
}

TEST(ExportRanges, SumThatTheKernelCannotHoldIsRefused) {
  Bar huge = kBar;
  huge.size_bytes = 1ull << 62;
  EXPECT_TRUE(check({{0, 1ull << 62}}, &huge));
  EXPECT_THAT(check({{0, 1ull << 62}, {0, 1ull << 62}}, &huge).error().message(),
              HasSubstr("too large"));
}

}  // namespace
}  // namespace peermr::vfio
