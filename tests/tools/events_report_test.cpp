// SPDX-License-Identifier: BSD-2-Clause
#include "bench/events/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

namespace peermr::tool {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

EventsReport report() {
  EventsReport result;
  result.setting.importer = {"pnic0", "pnic", "0000:01:00.0", DeviceKind::kEmulated};
  result.setting.importer_class = verbs::ImporterClass::kFaultable;
  result.exporter = "peermr_vfio";
  EventSeries series{EventWay::kMonitor, std::vector<std::uint64_t>(200)};
  std::iota(series.latencies_ns.rbegin(), series.latencies_ns.rend(), 1u);  // 200 ... 1
  for (auto& value : series.latencies_ns) value *= 1000;
  result.series.push_back(std::move(series));
  return result;
}

TEST(EventsReport, HasMedianAndTailInMicroseconds) {
  EXPECT_THAT(format(report()), AllOf(HasSubstr("pnic0 (emulated, faultable)"),
                                      ContainsRegex("on_event +200 +100 +198 +200\n")));
}

TEST(EventsReport, JsonHasAllValuesInTheirOrder) {
  const nlohmann::json json = to_json(report());
  EXPECT_EQ(json["schema"], kEventsSchema);
  EXPECT_EQ(json["importer"]["kind"], "emulated");
  EXPECT_EQ(json["series"][0]["way"], "monitor");
  EXPECT_EQ(json["series"][0]["median_ns"], 100000);
  EXPECT_EQ(json["series"][0]["p99_ns"], 198000);
  EXPECT_EQ(json["series"][0]["latencies_ns"].size(), 200u);
  EXPECT_EQ(json["series"][0]["latencies_ns"][0], 200000);
}

}  // namespace
}  // namespace peermr::tool
