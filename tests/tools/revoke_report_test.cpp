// SPDX-License-Identifier: BSD-2-Clause
#include "bench/revoke/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace peermr::tool {
namespace {

constexpr auto kRevokeIndex = static_cast<std::size_t>(Phase::kRevoke);

RevokeSeries series(std::uint32_t buffers, const std::string& driver, std::vector<double> revokes,
                    const std::string& target = "BAR 2") {
  RevokeSeries result{target, buffers, driver, {}};
  for (double time : revokes) {
    PhaseTimes times;
    times.fill(1);
    times[kRevokeIndex] = time;
    result.rounds.push_back(times);
  }
  return result;
}

RevokeReport compared(std::vector<RevokeSeries> all) {
  RevokeReport report;
  report.setting.importer = {"pnic0", "pnic", "0000:01:00.0", DeviceKind::kEmulated};
  report.driver = "peermr_vfio";
  report.against = "vfio-pci";
  report.series = std::move(all);
  return report;
}

// The medians' ratio would be 1: only pair by pair is the machine's noise the same on both sides.
TEST(RevokeRatio, IsTakenPairByPair) {
  const auto all = ratios(
      compared({series(1, "peermr_vfio", {10, 40, 90}), series(1, "vfio-pci", {5, 20, 90})}));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].pairs, 3u);
  EXPECT_EQ(all[0].phases[kRevokeIndex].median, 2);
  EXPECT_EQ(all[0].phases[kRevokeIndex].low, 1);
  EXPECT_EQ(all[0].phases[kRevokeIndex].high, 2);
}

TEST(RevokeRatio, IgnoresWhatHasNoCounterpart) {
  EXPECT_TRUE(ratios(compared({series(1, "peermr_vfio", {10}), series(2, "vfio-pci", {5}),
                               series(1, "vfio-pci", {5}, "BAR 4")}))
                  .empty());
  RevokeReport alone = compared({series(1, "peermr_vfio", {10})});
  alone.against.clear();
  EXPECT_TRUE(ratios(alone).empty());
}

// An interrupted run has one round more of one driver than of the other.
TEST(RevokeRatio, DropsARoundWithoutItsPair) {
  const auto all =
      ratios(compared({series(1, "peermr_vfio", {10, 1000}), series(1, "vfio-pci", {5})}));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].pairs, 1u);
  EXPECT_EQ(all[0].phases[kRevokeIndex].high, 2);
}

TEST(RevokeGrowth, ComparesTheTwoLargestNumbersOfBuffers) {
  const auto all = growth(compared({series(4096, "vfio-pci", {80}), series(1, "vfio-pci", {1}),
                                    series(512, "vfio-pci", {10}), series(1, "peermr_vfio", {1})}));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].driver, "vfio-pci");
  EXPECT_EQ(all[0].from, 512u);
  EXPECT_EQ(all[0].to, 4096u);
  EXPECT_EQ(all[0].phases[kRevokeIndex], 8);
}

TEST(RevokeReport, NamesTheEmulatedImporterAndBothDrivers) {
  const RevokeReport report =
      compared({series(1, "peermr_vfio", {10}), series(1, "vfio-pci", {5})});
  EXPECT_THAT(format(report), testing::AllOf(testing::HasSubstr("pnic0 (emulated, "),
                                             testing::HasSubstr("time with vfio-pci")));
  const nlohmann::json json = to_json(report);
  EXPECT_EQ(json["schema"], kRevokeSchema);
  EXPECT_EQ(json["importer"]["kind"], "emulated");
  EXPECT_EQ(json["comparisons"][0]["ratio"]["revoke"]["median"], 2);
  EXPECT_EQ(json["series"][0]["microseconds"]["revoke"][0], 10);
}

}  // namespace
}  // namespace peermr::tool
