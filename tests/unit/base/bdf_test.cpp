// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/bdf.hpp"

#include <gtest/gtest.h>

namespace peermr {
namespace {

TEST(Bdf, ParsesTheFormThatSysfsUses) {
  const auto bdf = Bdf::parse("0000:04:1f.7");
  ASSERT_TRUE(bdf);
  EXPECT_EQ(*bdf, Bdf(0, 4, 0x1f, 7));
  EXPECT_EQ(bdf->to_string(), "0000:04:1f.7");
}

TEST(Bdf, DomainDefaultsToZero) {
  const auto bdf = Bdf::parse("AB:0c.1");
  ASSERT_TRUE(bdf);
  EXPECT_EQ(bdf->to_string(), "0000:ab:0c.1");
}

TEST(Bdf, DomainsOfVmdHaveMoreThanFourDigits) {
  const auto bdf = Bdf::parse("10000:e1:00.0");
  ASSERT_TRUE(bdf);
  EXPECT_EQ(bdf->domain(), 0x10000u);
  EXPECT_EQ(bdf->to_string(), "10000:e1:00.0");
}

TEST(Bdf, OrdersByDomainBusDeviceFunction) {
  EXPECT_LT(Bdf(0, 4, 1, 7), Bdf(0, 4, 2, 0));
  EXPECT_LT(Bdf(0, 0xff, 0x1f, 7), Bdf(1, 0, 0, 0));
}

class BdfRefuses : public testing::TestWithParam<const char*> {};

TEST_P(BdfRefuses, TextThatIsNoAddress) {
  const auto bdf = Bdf::parse(GetParam());
  ASSERT_FALSE(bdf);
  EXPECT_EQ(bdf.error().code(), Errc::kMalformed);
  EXPECT_NE(bdf.error().message().find(GetParam()), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Malformed, BdfRefuses,
                         testing::Values("", ":", "04", "0000:04:00", "0000:04:00.8",
                                         "0000:04:20.0", "04:00.00", "4:00.0", "04:0.0",
                                         "000:04:00.0", "0000:04:00.0 ", " 04:00.0", "0x00:04:00.0",
                                         "0000:-4:00.0", "0000:04:00.g", "1:0000:04:00.0",
                                         "100000000:04:00.0", "0000::00.0", ":04:00.0"));

}  // namespace
}  // namespace peermr
