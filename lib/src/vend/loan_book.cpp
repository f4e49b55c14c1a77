// SPDX-License-Identifier: BSD-2-Clause
#include "vend/loan_book.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace peermr::vend {

LoanBook::LoanBook(std::uint32_t slices, const Limits& limits) : slices_(slices), limits_(limits) {
  for (std::uint32_t i = 0; i < slices; ++i) slices_[i].status.slice = i;
}

std::optional<std::string> LoanBook::refusal(BorrowerId borrower, uid_t uid) const {
  std::size_t of_borrower = 0;
  std::size_t of_user = 0;
  for (const Slice& slice : slices_) {
    if (slice.status.state != SliceState::kLent && slice.status.state != SliceState::kTaking) {
      continue;
    }
    if (slice.borrower == borrower) ++of_borrower;
    if (slice.status.uid == uid) ++of_user;
  }
  if (limits_.per_borrower != 0 && of_borrower >= limits_.per_borrower) {
    return fmt::format("a borrower may have {} at a time", limits_.per_borrower);
  }
  if (limits_.per_user != 0 && of_user >= limits_.per_user) {
    return fmt::format("a user may have {} at a time", limits_.per_user);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> LoanBook::find_free(std::uint64_t generation) const {
  std::optional<std::uint32_t> found;
  for (const Slice& slice : slices_) {
    if (slice.status.state != SliceState::kFree) continue;
    if (slice.zero_in == generation) return slice.status.slice;
    if (!found) found = slice.status.slice;
  }
  return found;
}

std::uint64_t LoanBook::lend(std::uint32_t slice, BorrowerId borrower, pid_t pid, uid_t uid,
                             Clock::time_point expires) {
  Slice& lent = slices_[slice];
  lent.status = {.slice = slice,
                 .state = SliceState::kLent,
                 .loan = ++last_loan_,
                 .pid = pid,
                 .uid = uid,
                 .expires = expires,
                 .end = LoanEnd::kNone};
  lent.borrower = borrower;
  lent.zero_in.reset();
  return last_loan_;
}

std::optional<std::uint32_t> LoanBook::find(std::uint64_t loan, BorrowerId borrower) const {
  const auto found = std::find_if(slices_.begin(), slices_.end(), [&](const Slice& slice) {
    return slice.status.state == SliceState::kLent && slice.status.loan == loan &&
           slice.borrower == borrower;
  });
  if (found == slices_.end()) return std::nullopt;
  return found->status.slice;
}

void LoanBook::renew(std::uint32_t slice, Clock::time_point expires) {
  slices_[slice].status.expires = expires;
}

void LoanBook::end(std::uint32_t slice, LoanEnd why) {
  slices_[slice].status.state = SliceState::kTaking;
  slices_[slice].status.end = why;
}

void LoanBook::start_clearing(std::uint32_t slice) {
  slices_[slice].status = {.slice = slice, .state = SliceState::kClearing, .expires = {}};
  slices_[slice].borrower = 0;
}

void LoanBook::set_free(std::uint32_t slice, std::optional<std::uint64_t> zero_in) {
  slices_[slice].status = {.slice = slice, .state = SliceState::kFree, .expires = {}};
  slices_[slice].borrower = 0;
  slices_[slice].zero_in = zero_in;
}

void LoanBook::set_lost(std::uint32_t slice) {
  slices_[slice].status = {.slice = slice, .state = SliceState::kLost, .expires = {}};
  slices_[slice].borrower = 0;
}

std::vector<std::uint32_t> LoanBook::overdue(Clock::time_point now) const {
  std::vector<std::uint32_t> found;
  for (const Slice& slice : slices_) {
    if (slice.status.state == SliceState::kLent && slice.status.expires <= now) {
      found.push_back(slice.status.slice);
    }
  }
  return found;
}

std::vector<std::uint32_t> LoanBook::lent_to(BorrowerId borrower) const {
  std::vector<std::uint32_t> found;
  for (const Slice& slice : slices_) {
    if (slice.status.state == SliceState::kLent && slice.borrower == borrower) {
      found.push_back(slice.status.slice);
    }
  }
  return found;
}

std::size_t LoanBook::count(SliceState state) const {
  return static_cast<std::size_t>(
      std::count_if(slices_.begin(), slices_.end(),
                    [state](const Slice& slice) { return slice.status.state == state; }));
}

std::optional<LoanBook::Clock::time_point> LoanBook::next_expiry() const {
  std::optional<Clock::time_point> next;
  for (const Slice& slice : slices_) {
    if (slice.status.state != SliceState::kLent) continue;
    if (!next || slice.status.expires < *next) next = slice.status.expires;
  }
  return next;
}

}  // namespace peermr::vend
