// SPDX-License-Identifier: BSD-2-Clause
#include "bench/target_spec.hpp"

#include <gtest/gtest.h>

namespace peermr::tool {
namespace {

TEST(TargetSpec, HostIsHostMemory) {
  auto spec = TargetSpec::parse("host");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->kind, TargetSpec::Kind::kHost);
  EXPECT_EQ(spec->name(), "host memory");
}

TEST(TargetSpec, TakesARangeOfABar) {
  auto spec = TargetSpec::parse("0000:04:00.0:2:1M+64K");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->device, Bdf(0, 4, 0, 0));
  EXPECT_EQ(spec->bar, BarIndex(2));
  EXPECT_EQ(spec->extent, TargetSpec::Extent::kRange);
  EXPECT_EQ(spec->offset_bytes, 1u << 20);
  EXPECT_EQ(spec->length_bytes, 64u << 10);
  EXPECT_EQ(spec->name(), "0000:04:00.0 BAR 2");
}

TEST(TargetSpec, TakesShortAddressesAndAll) {
  auto spec = TargetSpec::parse("04:00.1:4:all");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->device, Bdf(0, 4, 0, 1));
  EXPECT_EQ(spec->extent, TargetSpec::Extent::kAll);
}

TEST(TargetSpec, RemembersThatNoRangeWasGiven) {
  auto spec = TargetSpec::parse("0000:04:00.0:4");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->extent, TargetSpec::Extent::kNone);
}

TEST(TargetSpec, RefusesWhatIsNotATarget) {
  for (const char* text :
       {"", "hos", "host:1", "0000:04:00.0", "0000:04:00.0:", "0000:04:00.0:6:0+1M",
        "0000:04:00.0:10:0+1M", "0000:04:00.0:-1:0+1M", "0000:04:00.0:4:", "0000:04:00.0:4:1M",
        "0000:04:00.0:4:0+", "0000:04:00.0:4:+1M", "0000:04:00.0:4:0+1M+1M", "0000:04:00.9:4:0+1M",
        "zz:04.0:4:0+1M", "0000:04:00.0:4:ALL"}) {
    EXPECT_FALSE(TargetSpec::parse(text)) << text;
  }
}

TEST(TargetSpec, RefusesEmptyAndWrappingRanges) {
  for (const char* text : {"0000:04:00.0:4:0+0", "0000:04:00.0:4:0xfffffffffffff000+4K"}) {
    auto spec = TargetSpec::parse(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().code(), std::errc::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace peermr::tool
