// SPDX-License-Identifier: BSD-2-Clause
#include "base/table.hpp"

#include <gtest/gtest.h>

namespace peermr::tool {
namespace {

TEST(Table, AlignsColumnsWithoutTrailingBlanks) {
  Table table({{"name"}, {"n", Table::Align::kRight}, {"last"}});
  table.add_row({"a", "1", "x"});
  table.add_gap();
  table.add_row({"longer", "100", ""});
  EXPECT_EQ(table.to_string(),
            "name      n  last\n"
            "------  ---  ----\n"
            "a         1  x\n"
            "\n"
            "longer  100\n");
}

TEST(Table, TakesRowsOfAnyLength) {
  Table table({{"a"}, {"b"}});
  table.add_row({"1"});
  table.add_row({"1", "2", "3"});
  EXPECT_EQ(table.to_string(), "a  b\n-  -\n1\n1  2\n");
}

TEST(Table, CountsCharactersNotBytes) {
  EXPECT_EQ(display_width("µs"), 2u);
  EXPECT_EQ(display_width("├─ x"), 4u);
}

TEST(Wrap, BreaksAtBlanksAndIndents) {
  EXPECT_EQ(wrap("one two three", 7, "  "), "one two\n  three");
  EXPECT_EQ(wrap("unbreakable", 3, ""), "unbreakable");
  EXPECT_EQ(wrap("", 10, ""), "");
}

}  // namespace
}  // namespace peermr::tool
