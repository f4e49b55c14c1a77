// SPDX-License-Identifier: BSD-2-Clause
#include "vend/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using vend::LoanEnd;
using vend::SliceState;
using vend::VendorEvent;

VendorEvent event(VendorEvent::Kind kind) {
  VendorEvent event;
  event.kind = kind;
  event.status = {.slice = 3,
                  .state = SliceState::kLent,
                  .loan = 7,
                  .pid = 4711,
                  .uid = 1000,
                  .expires = std::chrono::steady_clock::now() + 30s,
                  .end = LoanEnd::kNone};
  return event;
}

TEST(VendReport, SaysWhoHasASliceUntilWhen) {
  EXPECT_THAT(event_text(event(VendorEvent::Kind::kLent)),
              StartsWith("slice 3 lent to pid 4711, uid 1000: loan 7, until "));
  const auto line = event_json(event(VendorEvent::Kind::kLent));
  EXPECT_EQ(line["event"], "lent");
  EXPECT_EQ(line["slice"], 3);
  EXPECT_EQ(line["pid"], 4711);
  EXPECT_NEAR(line["lease_ms"].get<double>(), 30000, 1000);
}

TEST(VendReport, SaysWhyALoanEnded) {
  auto ended = event(VendorEvent::Kind::kEnded);
  ended.status.end = LoanEnd::kOverdue;
  EXPECT_EQ(event_text(ended), "slice 3 overdue: loan 7 of pid 4711, uid 1000");
  EXPECT_EQ(event_json(ended)["why"], "overdue");
}

TEST(VendReport, SaysHowLongTakingBackTook) {
  auto taken = event(VendorEvent::Kind::kTakenBack);
  taken.took = 412us;
  EXPECT_EQ(event_text(taken), "slice 3 taken back in 0.412 ms: nobody reaches it through loan 7");
  EXPECT_EQ(event_json(taken)["took_us"], 412.0);
}

TEST(VendReport, RefusalsNameTheProcessAndNoSlice) {
  auto refused = event(VendorEvent::Kind::kRefused);
  refused.status.loan = 0;
  refused.error = make_error(std::errc::protocol_error, "serve", "a borrower", "no request");
  EXPECT_EQ(event_text(refused), "refused pid 4711, uid 1000: no request");
  EXPECT_FALSE(event_json(refused).contains("slice"));
  EXPECT_EQ(event_json(refused)["uid"], 1000);
}

TEST(VendReport, TableShowsWhatIsNotFree) {
  const auto now = std::chrono::steady_clock::now();
  std::vector<vend::SliceStatus> slices(4);
  EXPECT_EQ(loan_table(slices, now), "4 of 4 slices free\n");
  slices[1] = event(VendorEvent::Kind::kLent).status;
  slices[1].slice = 1;
  slices[1].expires = now + 12s;
  slices[2].slice = 2;
  slices[2].state = SliceState::kTaking;
  slices[2].end = LoanEnd::kBorrowerGone;
  EXPECT_THAT(loan_table(slices, now),
              AllOf(HasSubstr("    1  lent"), HasSubstr("4711  1000  12 s\n"),
                    HasSubstr("taking back (borrower gone)"), HasSubstr("2 of 4 slices free\n")));
}

TEST(RefusalFilter, ShowsTenASecondAndCountsTheRest) {
  RefusalFilter filter;
  const RefusalFilter::Clock::time_point start{1000s};
  int shown = 0;
  for (int i = 0; i < 1000; ++i) shown += filter.shows(start + 1ms * (i % 900)) ? 1 : 0;
  EXPECT_EQ(shown, 10);
  EXPECT_EQ(filter.take_hidden(start + 950ms), 0u) << "not before the second is over";
  EXPECT_EQ(filter.take_hidden(start + 1s), 990u);
  EXPECT_EQ(filter.take_hidden(start + 1s), 0u);
  EXPECT_TRUE(filter.shows(start + 2s));
}

}  // namespace
}  // namespace peermr::tool
