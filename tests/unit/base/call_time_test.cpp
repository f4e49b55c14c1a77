// SPDX-License-Identifier: BSD-2-Clause
#include "base/call_time.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace peermr::detail {
namespace {

using namespace std::chrono_literals;

TEST(CallTime, AddsUpWhatCallsTakeAndNothingElse) {
  CallTime calls;
  EXPECT_EQ(calls.total(), 0ns);
  const auto nap = [] {
    std::this_thread::sleep_for(2ms);
    return 7;
  };
  EXPECT_EQ(calls.of(nap), 7);
  EXPECT_EQ(calls.of(nap), 7);
  const auto total = calls.total();
  EXPECT_GE(total, 4ms);
  std::this_thread::sleep_for(2ms);
  EXPECT_EQ(calls.total(), total);
}

TEST(CallTime, LeavesErrnoAsTheCallDid) {
  CallTime calls;
  errno = 0;
  calls.of([] {
    errno = ENODEV;
    return -1;
  });
  EXPECT_EQ(errno, ENODEV);
}

}  // namespace
}  // namespace peermr::detail
