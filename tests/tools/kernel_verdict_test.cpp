// SPDX-License-Identifier: BSD-2-Clause
#include "bench/kernel_verdict.hpp"

#include <gtest/gtest.h>

namespace peermr::tool {
namespace {

constexpr const char* kTrace =
    "# tracer: nop\n"
    "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
    "          peermr-215     [001] .....    12.345678: map_type: "
    "(dma_buf_phys_vec_to_sgt+0x9d/0x5e0"
    " <- pci_p2pdma_map_type) type=3 provider=\"0000:04:00.0\" client=\"0000:02:00.0\"\n"
    "          peermr-215     [001] .....    12.345999: other: (x <- y) type=1\n"
    "     kworker/0:1-9       [000] .....    13.000000: map_type: (f+0x1 <- pci_p2pdma_map_type)"
    " type=4\n";

TEST(MapTypeCalls, AreReadFromATrace) {
  const auto calls = parse_map_type_calls(kTrace);
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].type, 3u);
  EXPECT_EQ(calls[0].provider, "0000:04:00.0");
  EXPECT_EQ(calls[0].client, "0000:02:00.0");
  EXPECT_EQ(calls[1].type, 4u);
  EXPECT_EQ(calls[1].client, "");
}

TEST(MapTypeCalls, TextThatIsNotATraceHasNone) {
  for (const char* text : {"", "\n\n", "map_type:", " map_type: (",
                           " map_type: ( type=", " map_type: ( type=x", "# map_type: ( type=3"}) {
    EXPECT_TRUE(parse_map_type_calls(text).empty()) << text;
  }
}

TEST(MapTypeName, HasTheKernelsWords) {
  EXPECT_EQ(map_type_name(2), "not supported");
  EXPECT_EQ(map_type_name(3), "bus address");
  EXPECT_EQ(map_type_name(4), "host bridge");
  EXPECT_EQ(map_type_name(9), "unknown 9");
}

}  // namespace
}  // namespace peermr::tool
