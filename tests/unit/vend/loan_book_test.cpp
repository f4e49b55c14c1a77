// SPDX-License-Identifier: BSD-2-Clause
#include "vend/loan_book.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peermr::vend {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr LoanBook::Clock::time_point kStart{1000s};
constexpr LoanBook::BorrowerId kAnna = 11;
constexpr LoanBook::BorrowerId kBert = 12;

std::uint64_t lend(LoanBook& book, std::uint32_t slice, LoanBook::BorrowerId borrower,
                   std::chrono::seconds lease = 10s, uid_t uid = 1000) {
  return book.lend(slice, borrower, 4711, uid, kStart + lease);
}

TEST(LoanBook, LoansHaveNumbersThatAreNotUsedAgain) {
  LoanBook book(2, {});
  EXPECT_EQ(lend(book, 0, kAnna), 1u);
  book.end(0, LoanEnd::kOverdue);
  book.set_free(0, 7);
  EXPECT_EQ(lend(book, 0, kAnna), 2u);
}

TEST(LoanBook, OnlyTheBorrowerFindsItsLoanAndOnlyWhileItLives) {
  LoanBook book(2, {});
  const auto loan = lend(book, 1, kAnna);
  EXPECT_EQ(book.find(loan, kAnna), 1u);
  EXPECT_FALSE(book.find(loan, kBert));
  EXPECT_FALSE(book.find(loan + 1, kAnna));
  book.end(1, LoanEnd::kGivenBack);
  EXPECT_FALSE(book.find(loan, kAnna));
}

TEST(LoanBook, OnlyFreeSlicesAreFoundAndZeroOnesFirst) {
  LoanBook book(3, {});
  EXPECT_EQ(book.find_free(5), 0u);
  book.set_free(2, 5);
  EXPECT_EQ(book.find_free(5), 2u);
  EXPECT_EQ(book.find_free(6), 0u) << "zero in an older generation counts for nothing";
  lend(book, 0, kAnna);
  book.set_lost(1);
  book.start_clearing(2);
  EXPECT_FALSE(book.find_free(5));
  book.set_free(2, std::nullopt);
  EXPECT_EQ(book.find_free(5), 2u);
}

TEST(LoanBook, WhatWasLentIsNotZeroAnyMore) {
  LoanBook book(1, {});
  book.set_free(0, 5);
  lend(book, 0, kAnna);
  EXPECT_FALSE(book.slice(0).zero_in);
}

TEST(LoanBook, OverdueAreThoseWhoseTimeIsUp) {
  LoanBook book(3, {});
  lend(book, 0, kAnna, 10s);
  lend(book, 1, kAnna, 5s);
  EXPECT_EQ(book.next_expiry(), kStart + 5s);
  EXPECT_THAT(book.overdue(kStart + 5s - 1ns), IsEmpty());
  EXPECT_THAT(book.overdue(kStart + 5s), ElementsAre(1));
  book.renew(1, kStart + 20s);
  EXPECT_THAT(book.overdue(kStart + 10s), ElementsAre(0));
  book.end(0, LoanEnd::kOverdue);
  EXPECT_THAT(book.overdue(kStart + 10s), IsEmpty());
  EXPECT_EQ(book.next_expiry(), kStart + 20s);
}

TEST(LoanBook, LimitsCountWhatIsLentAndWhatIsBeingTakenBack) {
  LoanBook book(8, {.per_borrower = 2, .per_user = 3});
  lend(book, 0, kAnna);
  EXPECT_FALSE(book.refusal(kAnna, 1000));
  lend(book, 1, kAnna);
  EXPECT_TRUE(book.refusal(kAnna, 1000));
  EXPECT_FALSE(book.refusal(kBert, 1000));
  lend(book, 2, kBert);
  EXPECT_TRUE(book.refusal(kBert, 1000)) << "the same user";
  EXPECT_FALSE(book.refusal(kBert, 1001));
  book.end(1, LoanEnd::kGivenBack);
  EXPECT_TRUE(book.refusal(kAnna, 1000));
  book.start_clearing(1);
  EXPECT_FALSE(book.refusal(kAnna, 1000));
}

TEST(LoanBook, ListsWhatABorrowerHas) {
  LoanBook book(4, {});
  lend(book, 0, kAnna);
  lend(book, 1, kBert);
  lend(book, 3, kAnna);
  EXPECT_THAT(book.lent_to(kAnna), ElementsAre(0, 3));
  book.end(0, LoanEnd::kBorrowerGone);
  EXPECT_THAT(book.lent_to(kAnna), ElementsAre(3));
  EXPECT_EQ(book.count(SliceState::kTaking), 1u);
  EXPECT_EQ(book.slice(0).status.end, LoanEnd::kBorrowerGone);
}

}  // namespace
}  // namespace peermr::vend
