// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "peermr/dma_buf.hpp"
#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/vend.hpp"

namespace peermr::vend {

/// What a vendor says of itself.
struct VendorInfo {
  std::string name;  ///< "0000:04:00.0 BAR 4"
  std::uint64_t slice_bytes = 0;
  std::uint32_t slices = 0;
  std::chrono::milliseconds lease_time{};  ///< the longest
  bool mappable = false;
  bool keeps_content = false;  ///< slices are lent as they are, not zero
};

struct BorrowOptions {
  std::uint64_t min_bytes = 0;             ///< the slice has at least so many
  std::chrono::milliseconds lease_time{};  ///< 0: the longest that the vendor gives
  std::chrono::milliseconds wait{};        ///< for a slice to become free; 0: now or never
};

/// What a loan is now, as far as messages were read.
struct LoanStatus {
  LoanEnd end = LoanEnd::kNone;
  /// Counts the revokes of the device's memory, as the vendor does: when it changes, what was
  /// written before may be gone.
  std::uint64_t generation = 0;
  /// By this machine's steady clock, and never later than the vendor thinks.
  std::chrono::steady_clock::time_point expires{};

  /// Not ended, and time is left.
  [[nodiscard]] bool is_live() const noexcept {
    return end == LoanEnd::kNone && std::chrono::steady_clock::now() < expires;
  }
};

/// A slice of device memory that a vendor lent. When the loan ends, the vendor takes the memory
/// away whatever the borrower does: memory regions on it fail from then on, for good.
///
/// Gives the slice back when it is destroyed, without waiting. Moves. Thread-safe but for moves and
/// the destructor.
class PEERMR_API Loan {
 public:
  class Link;

  explicit Loan(std::unique_ptr<Link> link) noexcept;
  Loan(Loan&&) noexcept;
  Loan& operator=(Loan&&) noexcept;
  ~Loan();

  /// Borrowed: the dma-buf's descriptor, close-on-exec.
  [[nodiscard]] int fd() const noexcept;
  /// The dma-buf, to make a Region of; it learns of the loan's end from a Monitor at once, else
  /// from completions. Errors: those of DmaBuf::adopt(), EMFILE.
  [[nodiscard]] Result<DmaBuf> buffer() const;
  [[nodiscard]] std::uint64_t size_bytes() const noexcept;
  /// The vendor's number for it, and which slice it is.
  [[nodiscard]] std::uint64_t number() const noexcept;
  [[nodiscard]] std::uint32_t slice() const noexcept;

  /// Does not block. Of what the vendor says of its own accord it knows what Borrower::process()
  /// or an answer has read.
  [[nodiscard]] LoanStatus status() const;

  /// From now on for `lease_time` (0: the longest). Blocks for the answer, 10 s at most.
  /// Errors: Errc::kDead when the loan has ended; std::errc::timed_out; ECONNRESET when the vendor
  /// is gone.
  Result<void> renew(std::chrono::milliseconds lease_time = {});

  /// Ends the loan and waits until nothing reaches the slice through it: deregister what was
  /// registered first. Giving back twice succeeds. Errors: std::errc::timed_out when that takes
  /// more than `limit`, the loan being over all the same; ECONNRESET.
  Result<void> give_back(std::chrono::milliseconds limit = std::chrono::seconds(10));

 private:
  std::unique_ptr<Link> link_;
};

/// A connection to a vendor. Loans outlive it, and keep the connection open. When the process ends,
/// all its loans do.
///
/// Moves. Thread-safe but for moves and the destructor.
class PEERMR_API Borrower {
 public:
  class Core;

  /// Connects, and receives the vendor's greeting, within `limit`.
  /// Errors: ENOENT, ECONNREFUSED, EACCES, EPROTOTYPE and the like, with what to do;
  /// Errc::kMalformed when something else listens there; std::errc::not_supported when it speaks
  /// another version of the protocol; std::errc::timed_out.
  [[nodiscard]] static Result<Borrower> connect(
      const std::string& path, std::chrono::milliseconds limit = std::chrono::seconds(10));

  explicit Borrower(std::shared_ptr<Core> core) noexcept;
  Borrower(Borrower&&) noexcept;
  Borrower& operator=(Borrower&&) noexcept;
  ~Borrower();

  [[nodiscard]] const VendorInfo& vendor() const noexcept;

  /// Borrows a slice. Blocks for the answer: BorrowOptions::wait, 10 s, and the time to clear a
  /// slice at most.
  ///
  /// Errors: std::errc::device_or_resource_busy when none is free; std::errc::timed_out when none
  /// became free; EDQUOT when this borrower or user has as many as it may;
  /// std::errc::invalid_argument when slices are smaller than that; Errc::kRevoked while the
  /// device's memory is away; ESHUTDOWN when the vendor stops; ECONNRESET when it is gone.
  [[nodiscard]] Result<Loan> borrow(const BorrowOptions& options = {});

  /// Borrowed: readable when the vendor has said something. Then call process().
  [[nodiscard]] int fd() const noexcept;

  /// Reads what the vendor has said, so that Loan::status() knows. Does not block.
  /// Errors: ECONNRESET when the vendor is gone, and all loans with it; Errc::kMalformed.
  Result<void> process();

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace peermr::vend
