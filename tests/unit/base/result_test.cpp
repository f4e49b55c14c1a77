// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/result.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

namespace peermr {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return errno_error(EINVAL, "halve", std::to_string(number), "it is odd");
  return number / 2;
}

Result<void> accept(bool ok) {
  if (!ok) return make_error(std::errc::permission_denied, "accept");
  return {};
}

TEST(Error, ReadsAsOperationObjectCodeDetail) {
  const Error error =
      errno_error(EINVAL, "export dma-buf of", "0000:04:00.0 BAR 2", "range 1 ends past the BAR");
  EXPECT_EQ(error.message(),
            "export dma-buf of 0000:04:00.0 BAR 2: Invalid argument: range 1 ends past the BAR");
  EXPECT_EQ(errno_error(ENOENT, "open").message(), "open: No such file or directory");
}

TEST(Error, OwnCodesCompareWithGenericConditions) {
  const Error error = make_error(Errc::kPathNotSupported, "register");
  EXPECT_EQ(error.code(), Errc::kPathNotSupported);
  EXPECT_EQ(error.code(), std::errc::operation_not_supported);
  EXPECT_NE(error.code(), std::errc::invalid_argument);
  EXPECT_STREQ(error.code().category().name(), "peermr");
}

TEST(Error, EveryOwnCodeHasItsText) {
  for (int code = 1; code <= static_cast<int>(Errc::kMalformed); ++code) {
    EXPECT_EQ(error_category().message(code).find("unknown"), std::string::npos) << code;
  }
  EXPECT_NE(error_category().message(999).find("999"), std::string::npos);
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = half(4);
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 2);
  const Result<int> bad = half(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), std::errc::invalid_argument);
  EXPECT_EQ(bad.error().object(), "3");
  EXPECT_EQ(bad.value_or(7), 7);
}

TEST(Result, ChainsUntilTheFirstError) {
  EXPECT_EQ(half(8).and_then(half).and_then(half).value(), 1);
  const auto stopped = half(6).and_then(half).transform([](int) -> int {
    ADD_FAILURE() << "called after an error";
    return 0;
  });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().object(), "3");
  EXPECT_EQ(half(3).or_else([](const Error&) -> Result<int> { return 1; }).value(), 1);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 5);
}

TEST(Result, OfVoidIsSuccessOrAnError) {
  EXPECT_TRUE(accept(true));
  const auto refused = accept(true).and_then([] { return accept(false); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), std::errc::permission_denied);
}

TEST(Result, OfBoolIsNotConfusedWithSuccess) {
  const Result<bool> no = false;
  ASSERT_TRUE(no);
  EXPECT_FALSE(*no);
}

TEST(ResultDeathTest, ValueOfAnErrorEndsTheProgramWithItsMessage) {
  EXPECT_DEATH((void)half(3).value(), "halve 3: Invalid argument: it is odd");
  EXPECT_DEATH((void)half(4).error(), "holds a value");
}

}  // namespace
}  // namespace peermr
