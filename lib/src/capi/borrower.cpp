// SPDX-License-Identifier: BSD-2-Clause
#include <utility>

#include "capi/vend.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse;
using peermr::capi::refuse_null;
using peermr::capi::span_of;
using peermr::capi::status_of;

namespace {

using Milliseconds = std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr Milliseconds kLimit = 10s;
constexpr std::string_view kBorrow = "borrow a slice";

Milliseconds limit_of(uint64_t limit_ms) noexcept {
  return limit_ms != 0 ? span_of<Milliseconds>(limit_ms) : kLimit;
}

peermr::Result<peermr::vend::BorrowOptions> to_cpp(const peermr_borrow_options* options) {
  peermr::vend::BorrowOptions result;
  if (options == nullptr) return result;
  if (options->size != sizeof(*options)) {
    return peermr::make_error(std::errc::invalid_argument, kBorrow, "",
                              "options.size is not the size of the struct");
  }
  result.min_bytes = options->min_bytes;
  result.lease_time = span_of<Milliseconds>(options->lease_time_ms);
  result.wait = span_of<Milliseconds>(options->wait_ms);
  return result;
}

}  // namespace

extern "C" {

int peermr_borrower_connect(const char* path, uint64_t limit_ms, peermr_borrower** borrower) {
  if (path == nullptr || borrower == nullptr) return refuse_null("connect to vendor");
  return guarded([&] {
    auto connected = peermr::vend::Borrower::connect(path, limit_of(limit_ms));
    if (!connected) return fail(connected.error());
    *borrower = new peermr_borrower{*std::move(connected)};
    return 0;
  });
}

int peermr_borrower_vendor(const peermr_borrower* borrower, peermr_vendor_info* info) {
  constexpr std::string_view kAsk = "ask who vends";
  if (borrower == nullptr || info == nullptr) return refuse_null(kAsk);
  if (info->size != sizeof(*info)) return refuse(kAsk, "info.size is not the size of the struct");
  const auto& vendor = borrower->borrower.vendor();
  info->name = vendor.name.c_str();
  info->slice_bytes = vendor.slice_bytes;
  info->lease_time_ms = static_cast<uint64_t>(vendor.lease_time.count());
  info->slices = vendor.slices;
  info->flags = (vendor.mappable ? PEERMR_VEND_MAPPABLE : 0) |
                (vendor.keeps_content ? PEERMR_VEND_KEEP_CONTENT : 0);
  return 0;
}

int peermr_borrower_borrow(peermr_borrower* borrower, const peermr_borrow_options* options,
                           peermr_loan** loan) {
  if (borrower == nullptr || loan == nullptr) return refuse_null(kBorrow);
  return guarded([&] {
    auto lent = to_cpp(options).and_then(
        [&](const peermr::vend::BorrowOptions& cpp) { return borrower->borrower.borrow(cpp); });
    if (!lent) return fail(lent.error());
    *loan = new peermr_loan{*std::move(lent)};
    return 0;
  });
}

int peermr_borrower_fd(const peermr_borrower* borrower) {
  if (borrower == nullptr) return refuse_null("wait for vendor");
  return borrower->borrower.fd();
}

int peermr_borrower_process(peermr_borrower* borrower) {
  if (borrower == nullptr) return refuse_null("read from vendor");
  return guarded([&] { return status_of(borrower->borrower.process()); });
}

void peermr_borrower_close(peermr_borrower* borrower) {
  delete borrower;
}

int peermr_loan_fd(const peermr_loan* loan) {
  if (loan == nullptr) return refuse_null("use loan");
  return loan->loan.fd();
}

int peermr_loan_buffer(const peermr_loan* loan, peermr_dma_buf** buffer) {
  if (loan == nullptr || buffer == nullptr) return refuse_null("use loan");
  return guarded([&] {
    auto adopted = loan->loan.buffer();
    if (!adopted) return fail(adopted.error());
    *buffer = new peermr_dma_buf{*std::move(adopted)};
    return 0;
  });
}

int peermr_loan_query(const peermr_loan* loan, peermr_loan_status* status) {
  constexpr std::string_view kQuery = "query loan";
  if (loan == nullptr || status == nullptr) return refuse_null(kQuery);
  if (status->size != sizeof(*status)) {
    return refuse(kQuery, "status.size is not the size of the struct");
  }
  return guarded([&] {
    const auto now = loan->loan.status();
    status->number = loan->loan.number();
    status->slice_bytes = loan->loan.size_bytes();
    status->generation = now.generation;
    status->expires_ns = peermr::capi::to_ns(now.expires);
    status->slice = loan->loan.slice();
    status->end = static_cast<int32_t>(now.end);
    status->live = now.is_live() ? 1 : 0;
    status->reserved = 0;
    return 0;
  });
}

int peermr_loan_renew(peermr_loan* loan, uint64_t lease_time_ms) {
  if (loan == nullptr) return refuse_null("renew loan");
  return guarded([&] { return status_of(loan->loan.renew(span_of<Milliseconds>(lease_time_ms))); });
}

int peermr_loan_give_back(peermr_loan* loan, uint64_t limit_ms) {
  if (loan == nullptr) return refuse_null("give loan back");
  return guarded([&] { return status_of(loan->loan.give_back(limit_of(limit_ms))); });
}

void peermr_loan_close(peermr_loan* loan) {
  delete loan;
}

}  // extern "C"
