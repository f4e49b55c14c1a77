// SPDX-License-Identifier: BSD-2-Clause
#include "bench/report.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "base/table.hpp"
#include "bench/print.hpp"

namespace peermr::tool {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

Row row(Operation operation, std::uint64_t size, const char* target, double bandwidth) {
  Row result;
  result.key = {operation, size, target, "pnic0", "", "", ""};
  if (std::string_view(target) != "host memory") {
    result.key.predicted = "bus address";
    result.key.reason = "both are under 0000:02:00.0";
    result.key.kernel = "bus address";
  }
  result.measured = {1000, 1.0, bandwidth, 1000.0, 100, 12300, 45600};
  result.verified = true;
  return result;
}

Report report(const char* label) {
  Report result;
  result.environment.label = label;
  result.environment.kernel = "7.2.12";
  result.environment.arch = "x86_64";
  result.environment.devices = {{"pnic0", "pnic", "0000:03:00.0", DeviceKind::kEmulated},
                                {"pnic1", "pnic", "0000:04:00.0", DeviceKind::kEmulated}};
  result.rows = {row(Operation::kWrite, 4096, "host memory", 1e9),
                 row(Operation::kWrite, 4096, "0000:05:00.0 BAR 4", 1e9),
                 row(Operation::kWrite, 1u << 20, "host memory", 2e9),
                 row(Operation::kWrite, 1u << 20, "0000:05:00.0 BAR 4", 1.9e9)};
  return result;
}

TEST(Report, SurvivesJson) {
  Report written = report("switch");
  written.environment.copy_bytes_per_second = 5e9;
  written.rows[0].verified = false;
  written.rows[0].mismatch = Mismatch{64, 1, 2, 3, true, false};
  auto read = report_from_json(json::parse(to_json(written).dump()));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(to_json(*read), to_json(written));
  EXPECT_FALSE(read->good());
}

TEST(Report, OfAnotherSchemaOrWithMissingMembersIsRefused) {
  const json good = to_json(report("switch"));
  EXPECT_FALSE(report_from_json(json()));
  EXPECT_FALSE(report_from_json(json::array()));
  json bad = good;
  bad["schema"] = "peermr-bench/2";
  EXPECT_FALSE(report_from_json(bad));
  for (const char* member : {"environment", "rows"}) {
    bad = good;
    bad.erase(member);
    EXPECT_FALSE(report_from_json(bad)) << member;
  }
  for (const auto& item : good["rows"][0].items()) {
    bad = good;
    bad["rows"][0].erase(item.key());
    EXPECT_FALSE(report_from_json(bad)) << item.key();
    bad["rows"][0][item.key()] = json::array();
    EXPECT_FALSE(report_from_json(bad)) << item.key();
  }
}

TEST(Report, ARowCannotBeVerifiedWithoutMessagesOrWithAMismatch) {
  Report wrong = report("switch");
  wrong.rows[0].measured.messages = 0;
  EXPECT_FALSE(report_from_json(to_json(wrong)));
  wrong = report("switch");
  wrong.rows[0].mismatch = Mismatch{};
  EXPECT_FALSE(report_from_json(to_json(wrong)));
}

TEST(Report, WithoutRowsOrWithABadOneIsNotGood) {
  EXPECT_TRUE(report("switch").good());
  EXPECT_FALSE(Report{}.good());
  Report failed = report("switch");
  failed.rows[1].error = "timed out";
  EXPECT_FALSE(failed.good());
  EXPECT_THAT(format_problems({failed}), HasSubstr("timed out"));
  EXPECT_THAT(format_problems({Report{}}), HasSubstr("not a single row"));
  EXPECT_EQ(format_problems({report("switch")}), "");
}

TEST(Report, EmulatedAndHardwareDevicesNeverShareATable) {
  Report hardware = report("real");
  for (auto& device : hardware.environment.devices) device.kind = DeviceKind::kHardware;
  EXPECT_TRUE(check_comparable({report("a"), report("b")}));
  EXPECT_TRUE(check_comparable({hardware}));
  EXPECT_FALSE(check_comparable({report("a"), hardware}));
}

TEST(ReportTable, GroupsTheRowsOfSeveralRunsByOperationAndSize) {
  const std::string table = format_table({report("switch"), report("root-ports")});
  const auto first = table.find("root-ports");
  const auto last_of_first_group = table.find("1 MiB");
  EXPECT_LT(first, last_of_first_group);
  EXPECT_THAT(table, HasSubstr("05:00.0 BAR 4"));
  EXPECT_THAT(table, HasSubstr("verified"));
}

TEST(ReportTable, IsReadableAt120Columns) {
  Report mixed = report("root-ports");
  for (Row& each : mixed.rows) each.measured.messages_per_second = 1234567;
  const std::string table = format_table({mixed, report("switch")});
  for (std::size_t at = 0, end; (end = table.find('\n', at)) != table.npos; at = end + 1) {
    EXPECT_LE(display_width(table.substr(at, end - at)), 120u);
  }
}

TEST(ReportTable, AMismatchIsShownAndNotItsLatency) {
  Report wrong = report("switch");
  wrong.rows[0].verified = false;
  wrong.rows[0].mismatch = Mismatch{0x1040, 1, 2, 3, false, false};
  EXPECT_THAT(format_table({wrong}), HasSubstr("MISMATCH at offset 0x1040"));
  EXPECT_THAT(format_problems({wrong}), HasSubstr("3 bytes are wrong"));
}

TEST(ReportRatios, ComparePeerToPeerWithHostMemory) {
  const std::string ratios = format_ratios(report("switch"));
  EXPECT_THAT(ratios, HasSubstr("05:00.0 BAR 4 (bus address) / host memory: 0.95"));
  EXPECT_THAT(ratios, Not(HasSubstr("copy")));
}

TEST(ReportRatios, CompareWithACopyAndWithAnotherDevice) {
  Report compared = report("");
  compared.environment.copy_bytes_per_second = 4e9;
  compared.environment.compare = "rxe0";
  Row other = row(Operation::kWrite, 4096, "host memory", 1e8);
  other.key.device = "rxe0";
  other.measured.latency_median_ns = 24600;
  compared.rows.push_back(other);
  const std::string ratios = format_ratios(compared);
  EXPECT_THAT(ratios, HasSubstr(": 0.50"));
  EXPECT_THAT(ratios, HasSubstr("x 10.0"));
  EXPECT_THAT(ratios, HasSubstr("x 0.50"));
}

TEST(ReportNotes, SayThatAnEmulatedNicIsOne) {
  const std::string notes = format_notes({report("switch")});
  EXPECT_THAT(notes, HasSubstr("EMULATED NIC: pnic0, pnic1"));
  EXPECT_THAT(notes, HasSubstr("both are under 0000:02:00.0"));
  Report hardware = report("real");
  for (auto& device : hardware.environment.devices) device.kind = DeviceKind::kHardware;
  EXPECT_THAT(format_notes({hardware}), Not(HasSubstr("EMULATED")));
}

}  // namespace
}  // namespace peermr::tool
