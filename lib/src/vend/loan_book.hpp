// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peermr/vend.hpp"

namespace peermr::vend {

/// Who has which slice, until when, and who may have one. Knows neither device nor sockets nor what
/// time it is: all are told.
class LoanBook {
 public:
  using Clock = std::chrono::steady_clock;
  using BorrowerId = std::uint64_t;

  struct Limits {
    std::size_t per_borrower = 0;  ///< 0: any number
    std::size_t per_user = 0;
  };
  struct Slice {
    SliceStatus status;
    BorrowerId borrower = 0;
    /// The generation in which it was set to zero and not lent since.
    std::optional<std::uint64_t> zero_in;
  };

  LoanBook(std::uint32_t slices, const Limits& limits);

  [[nodiscard]] const std::vector<Slice>& slices() const noexcept { return slices_; }
  [[nodiscard]] const Slice& slice(std::uint32_t index) const { return slices_[index]; }

  /// Why this borrower may have no further slice; nothing when it may. Those that are being taken
  /// back count.
  [[nodiscard]] std::optional<std::string> refusal(BorrowerId borrower, uid_t uid) const;

  /// A free slice, if there is one: rather one that is zero in `generation`.
  [[nodiscard]] std::optional<std::uint32_t> find_free(std::uint64_t generation) const;

  /// Lends a free slice. Returns the loan's number.
  std::uint64_t lend(std::uint32_t slice, BorrowerId borrower, pid_t pid, uid_t uid,
                     Clock::time_point expires);
  /// The slice of a live loan of this borrower.
  [[nodiscard]] std::optional<std::uint32_t> find(std::uint64_t loan, BorrowerId borrower) const;
  void renew(std::uint32_t slice, Clock::time_point expires);
  /// From kLent to kTaking.
  void end(std::uint32_t slice, LoanEnd why);

  /// From kFree or kTaking.
  void start_clearing(std::uint32_t slice);
  /// From kClearing or kTaking; `zero_in` none: with who knows what in it.
  void set_free(std::uint32_t slice, std::optional<std::uint64_t> zero_in);
  void set_lost(std::uint32_t slice);

  [[nodiscard]] std::vector<std::uint32_t> overdue(Clock::time_point now) const;
  [[nodiscard]] std::vector<std::uint32_t> lent_to(BorrowerId borrower) const;
  [[nodiscard]] std::size_t count(SliceState state) const;
  /// When the next lease runs out.
  [[nodiscard]] std::optional<Clock::time_point> next_expiry() const;

 private:
  std::vector<Slice> slices_;
  const Limits limits_;
  std::uint64_t last_loan_ = 0;
};

}  // namespace peermr::vend
