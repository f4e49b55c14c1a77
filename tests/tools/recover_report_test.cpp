// SPDX-License-Identifier: BSD-2-Clause
#include "bench/recover/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace peermr::tool {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Every phase takes `each` microseconds.
RecoverSeries series(RecoverKind kind, std::uint32_t regions, std::vector<double> each) {
  RecoverSeries result{regions, kind, {}};
  for (double time : each) {
    RecoverTimes times;
    times.fill(time);
    result.resets.push_back(times);
  }
  return result;
}

RecoverReport report_of(std::vector<RecoverSeries> all) {
  RecoverReport report;
  report.setting.importer = {"pnic0", "pnic", "0000:01:00.0", DeviceKind::kEmulated};
  report.setting.importer_class = verbs::ImporterClass::kRevocable;
  report.exporter = "mainline";
  report.series = std::move(all);
  return report;
}

TEST(AfterReset, IsWhatFollowsTheReset) {
  RecoverTimes times{};
  times[static_cast<std::size_t>(RecoverPhase::kQuiesce)] = 1000;
  times[static_cast<std::size_t>(RecoverPhase::kReset)] = 100;
  EXPECT_EQ(after_reset(times), 0);
  times[static_cast<std::size_t>(RecoverPhase::kWait)] = 1;
  times[static_cast<std::size_t>(RecoverPhase::kRegister)] = 2;
  times[static_cast<std::size_t>(RecoverPhase::kLibrary)] = 3;
  times[static_cast<std::size_t>(RecoverPhase::kWrite)] = 4;
  EXPECT_EQ(after_reset(times), 10);
}

TEST(RecoverKindText, IsReadAsItIsWritten) {
  for (RecoverKind kind : {RecoverKind::kPlain, RecoverKind::kStable, RecoverKind::kFresh}) {
    EXPECT_EQ(parse_recover_kind(to_string(kind)), kind);
  }
  EXPECT_EQ(parse_recover_kind("stale"), std::nullopt);
}

TEST(RecoverGrowth, ComparesTheTwoLargestNumbersOfRegionsOfAKindByTheirMedians) {
  const auto all = growth(report_of(
      {series(RecoverKind::kStable, 4096, {80, 70, 9000}), series(RecoverKind::kStable, 1, {1}),
       series(RecoverKind::kStable, 512, {1, 10, 10}), series(RecoverKind::kFresh, 512, {1})}));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, RecoverKind::kStable);
  EXPECT_EQ(all[0].from, 512u);
  EXPECT_EQ(all[0].to, 4096u);
  EXPECT_EQ(all[0].ratio, 8);
}

TEST(RecoverReport, NamesTheEmulatedImporterItsClassAndTheExporter) {
  const RecoverReport report =
      report_of({series(RecoverKind::kPlain, 64, {2}), series(RecoverKind::kStable, 64, {3})});
  EXPECT_THAT(format(report),
              AllOf(HasSubstr("pnic0 (emulated, revocable)"), HasSubstr("exporter mainline"),
                    Not(HasSubstr("with a monitor")), Not(HasSubstr("No fresh keys"))));
  const nlohmann::json json = to_json(report);
  EXPECT_EQ(json["schema"], kRecoverSchema);
  EXPECT_EQ(json["importer"]["kind"], "emulated");
  EXPECT_EQ(json["importer"]["class"], "revocable");
  EXPECT_EQ(json["series"][1]["keys"], "stable");
  EXPECT_EQ(json["series"][1]["regions"], 64);
  EXPECT_EQ(json["series"][1]["microseconds"]["library"][0], 3);
  EXPECT_EQ(json["series"][1]["microseconds"]["after_reset"][0], 12);
}

TEST(RecoverReport, SaysWhatIsNotPossible) {
  RecoverReport report = report_of({series(RecoverKind::kStable, 1, {1})});
  report.impossible = {RecoverKind::kFresh};
  report.monitor = true;
  EXPECT_THAT(format(report), AllOf(HasSubstr("No fresh keys"), HasSubstr("with a monitor")));
}

}  // namespace
}  // namespace peermr::tool
