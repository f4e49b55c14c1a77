// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/unique_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <utility>

namespace peermr {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

UniqueFd open_null() {
  return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

TEST(UniqueFd, ClosesOnceAtTheEndOfItsLife) {
  int number = -1;
  {
    const UniqueFd fd = open_null();
    number = fd.get();
    ASSERT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, MovingLeavesNoneBehind) {
  UniqueFd first = open_null();
  const int number = first.get();
  UniqueFd second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is the rule under test
  EXPECT_EQ(second.get(), number);

  UniqueFd third = open_null();
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_FALSE(is_open(replaced));
  EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, ReleasedDescriptorStaysOpen) {
  UniqueFd fd = open_null();
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(UniqueFd, CloseReportsTheError) {
  EXPECT_TRUE(UniqueFd().close());
  UniqueFd stolen = open_null();
  ::close(stolen.get());
  const auto result = stolen.close();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), std::errc::bad_file_descriptor);
  EXPECT_FALSE(stolen);
}

TEST(UniqueFd, DuplicateIsIndependentAndCloseOnExec) {
  UniqueFd fd = open_null();
  auto copy = fd.duplicate();
  ASSERT_TRUE(copy);
  EXPECT_TRUE(fd.close());
  EXPECT_TRUE(is_open(copy->get()));
  EXPECT_EQ(::fcntl(copy->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_FALSE(UniqueFd().duplicate());
}

}  // namespace
}  // namespace peermr
