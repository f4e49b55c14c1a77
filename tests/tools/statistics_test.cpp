// SPDX-License-Identifier: BSD-2-Clause
#include "bench/statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "bench/runner.hpp"

namespace peermr::tool {
namespace {

TEST(Percentile, IsTheNearestRank) {
  std::vector<std::uint64_t> samples(100);
  std::iota(samples.begin(), samples.end(), 1u);
  EXPECT_EQ(percentile(samples, 50), 50u);
  EXPECT_EQ(percentile(samples, 99), 99u);
  EXPECT_EQ(percentile(samples, 100), 100u);
  EXPECT_EQ(percentile(samples, 0), 1u);
}

TEST(Percentile, OfFewSamplesIsOneOfThem) {
  EXPECT_EQ(percentile({}, 50), 0u);
  EXPECT_EQ(percentile({7}, 99), 7u);
  EXPECT_EQ(percentile({1, 9}, 99), 9u);
  EXPECT_EQ(percentile({1, 2, 3}, 50), 2u);
}

TEST(Median, IsTheMiddleWhateverTheOrder) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
}

Row good_row(double bandwidth, std::uint64_t latency) {
  Row row;
  row.verified = true;
  row.measured.messages = 10;
  row.measured.bytes_per_second = bandwidth;
  row.measured.latency_median_ns = latency;
  return row;
}

TEST(MiddleRow, TakesTheMedianOfEachFigure) {
  const Row row = middle_row({good_row(3, 100), good_row(1, 300), good_row(2, 200)});
  EXPECT_EQ(row.measured.bytes_per_second, 2);
  EXPECT_EQ(row.measured.latency_median_ns, 200u);
  EXPECT_TRUE(row.good());
}

TEST(MiddleRow, OneBadMeasurementIsTheResult) {
  Row bad = good_row(2, 200);
  bad.verified = false;
  bad.mismatch = Mismatch{64, 1, 2, 1, false, false};
  const Row row = middle_row({good_row(1, 1), bad, good_row(3, 3)});
  EXPECT_FALSE(row.good());
  EXPECT_EQ(row.verdict(), "MISMATCH at offset 0x40");
}

std::vector<double> one_to(int n) {
  std::vector<double> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 1.0);
  std::reverse(values.begin(), values.end());
  return values;
}

// Ranks from tables of the binomial distribution.
TEST(MedianInterval, IsTheTabulatedOrderStatistics) {
  for (const auto& [n, low, high] :
       {std::tuple(6, 1, 6), {8, 1, 8}, {9, 2, 8}, {20, 6, 15}, {30, 10, 21}, {100, 40, 61}}) {
    const MedianInterval interval = median_interval(one_to(n));
    EXPECT_EQ(interval.low, low) << n;
    EXPECT_EQ(interval.high, high) << n;
    EXPECT_EQ(interval.median, (n + 1) / 2.0) << n;
  }
}

TEST(MedianInterval, OfFewValuesIsAllOfThem) {
  EXPECT_EQ(median_interval({}).median, 0);
  for (int n : {1, 2, 5}) {
    EXPECT_EQ(median_interval(one_to(n)).low, 1) << n;
    EXPECT_EQ(median_interval(one_to(n)).high, n) << n;
  }
}

}  // namespace
}  // namespace peermr::tool
