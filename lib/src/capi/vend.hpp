// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>

#include "capi/call.hpp"
#include "peermr/borrow.hpp"
#include "peermr/peermr_vend.h"
#include "peermr/vend.hpp"

// What the opaque types of vending are, and how their structs translate.

struct peermr_vendor {
  peermr::vend::Vendor vendor;
};

struct peermr_borrower {
  peermr::vend::Borrower borrower;
};

struct peermr_loan {
  peermr::vend::Loan loan;
};

namespace peermr::capi {

/// Errors: std::errc::invalid_argument.
[[nodiscard]] Result<vend::VendorOptions> to_cpp(const peermr_vendor_options& options);

[[nodiscard]] peermr_slice to_c(const vend::SliceStatus& slice) noexcept;

}  // namespace peermr::capi
