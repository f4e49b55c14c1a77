// SPDX-License-Identifier: BSD-2-Clause
#include "base/deadline.hpp"

#include <gtest/gtest.h>

namespace peermr {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kNever = Clock::time_point::max();

TEST(Deadline, IsTheSpanLater) {
  const auto now = Clock::now();
  EXPECT_EQ(later(now, 5ms), now + 5ms);
  EXPECT_EQ(later(now, 24h), now + 24h);
  EXPECT_EQ(later(now, 0ns), now);
}

TEST(Deadline, OfANegativeSpanIsNow) {
  const auto now = Clock::now();
  EXPECT_EQ(later(now, -1ns), now);
  EXPECT_EQ(later(now, std::chrono::milliseconds::min()), now);
}

TEST(Deadline, BeyondWhatTheClockCountsIsNever) {
  const auto now = Clock::now();
  EXPECT_EQ(later(now, std::chrono::nanoseconds::max()), kNever);
  EXPECT_EQ(later(now, std::chrono::milliseconds::max()), kNever);
  EXPECT_EQ(later(now, std::chrono::hours::max()), kNever);
  EXPECT_EQ(later(kNever, 1ns), kNever);
}

TEST(Deadline, UpToWhatTheClockCountsIsExact) {
  const auto now = Clock::now();
  EXPECT_EQ(later(now, kNever - now), kNever);
  EXPECT_EQ(later(now, kNever - now - 1ns), kNever - 1ns);
}

}  // namespace
}  // namespace peermr
