// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <utility>

#include "vend/borrower_core.hpp"

namespace peermr::vend {
namespace {

using namespace std::chrono_literals;

// For answers that nothing holds up.
constexpr auto kLimit = 10s;
// Zeros are stored to a device at this rate at least.
constexpr std::uint64_t kClearBytesPerMs = 4096;
constexpr auto kLongestWait = std::chrono::hours(24);

}  // namespace

class Loan::Link {
 public:
  Link(std::shared_ptr<Borrower::Core> core, Borrower::Core::Answer answer)
      : core_(std::move(core)),
        number_(answer.notice.loan),
        slice_(answer.notice.slice),
        bytes_(answer.notice.bytes),
        fd_(std::move(answer.descriptor)) {}
  ~Link() { core_->forget(number_); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  [[nodiscard]] Borrower::Core& core() const noexcept { return *core_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] std::uint32_t slice() const noexcept { return slice_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] const UniqueFd& fd() const noexcept { return fd_; }

 private:
  const std::shared_ptr<Borrower::Core> core_;
  const std::uint64_t number_;
  const std::uint32_t slice_;
  const std::uint64_t bytes_;
  const UniqueFd fd_;
};

Loan::Loan(std::unique_ptr<Link> link) noexcept : link_(std::move(link)) {}
Loan::Loan(Loan&&) noexcept = default;
Loan& Loan::operator=(Loan&&) noexcept = default;
Loan::~Loan() = default;

int Loan::fd() const noexcept {
  return link_->fd().get();
}

Result<DmaBuf> Loan::buffer() const {
  auto copy = link_->fd().duplicate();
  if (!copy) return std::move(copy).error();
  return DmaBuf::adopt(*std::move(copy),
                       fmt::format("{} slice {}", link_->core().vendor().name, link_->slice()));
}

std::uint64_t Loan::size_bytes() const noexcept {
  return link_->bytes();
}

std::uint64_t Loan::number() const noexcept {
  return link_->number();
}

std::uint32_t Loan::slice() const noexcept {
  return link_->slice();
}

LoanStatus Loan::status() const {
  return link_->core().status(link_->number());
}

Result<void> Loan::renew(std::chrono::milliseconds lease_time) {
  constexpr std::string_view kRenew = "renew a loan of";
  const auto& vendor = link_->core().vendor();
  if (const auto end = status().end; end != LoanEnd::kNone) {
    return make_error(Errc::kDead, kRenew, vendor.name, to_string(end));
  }
  if (lease_time < 0ms) {
    return make_error(std::errc::invalid_argument, kRenew, vendor.name, "a negative time");
  }
  const auto answer =
      link_->core().ask({.kind = RequestKind::kRenew,
                         .loan = link_->number(),
                         .lease_ms = static_cast<std::uint64_t>(lease_time.count())},
                        kRenew, kLimit);
  if (answer) return {};
  if (answer.error().code() == Errc::kDead) {
    link_->core().set_end(link_->number(), LoanEnd::kOverdue);
  }
  return answer.error();
}

Result<void> Loan::give_back(std::chrono::milliseconds limit) {
  if (status().end != LoanEnd::kNone) return {};
  const auto answer = link_->core().ask({.kind = RequestKind::kGiveBack, .loan = link_->number()},
                                        "give back a loan of", limit);
  link_->core().set_end(link_->number(), LoanEnd::kGivenBack);
  // Another end came first: it is over all the same.
  if (answer || answer.error().code() == Errc::kDead) return {};
  return answer.error();
}

Result<Borrower> Borrower::connect(const std::string& path, std::chrono::milliseconds limit) {
  auto core = Core::connect(path, limit);
  if (!core) return std::move(core).error();
  return Borrower(*std::move(core));
}

Borrower::Borrower(std::shared_ptr<Core> core) noexcept : core_(std::move(core)) {}
Borrower::Borrower(Borrower&&) noexcept = default;
Borrower& Borrower::operator=(Borrower&&) noexcept = default;
Borrower::~Borrower() = default;

const VendorInfo& Borrower::vendor() const noexcept {
  return core_->vendor();
}

Result<Loan> Borrower::borrow(const BorrowOptions& options) {
  constexpr std::string_view kBorrow = "borrow a slice of";
  if (options.lease_time < 0ms || options.wait < 0ms || options.wait > kLongestWait) {
    return make_error(std::errc::invalid_argument, kBorrow, vendor().name,
                      "times are not negative, and a wait is a day at most");
  }
  const std::chrono::milliseconds clearing(vendor().slice_bytes / kClearBytesPerMs);
  auto answer = core_->ask({.kind = RequestKind::kBorrow,
                            .bytes = options.min_bytes,
                            .lease_ms = static_cast<std::uint64_t>(options.lease_time.count()),
                            .wait_ms = static_cast<std::uint64_t>(options.wait.count())},
                           kBorrow, options.wait + kLimit + clearing);
  if (!answer) return std::move(answer).error();
  if (answer->notice.kind != NoticeKind::kLent || !answer->descriptor) {
    core_->forget(answer->notice.loan);
    return make_error(Errc::kMalformed, kBorrow, vendor().name,
                      "no descriptor came along: has this process as many open as it may?");
  }
  return Loan(std::make_unique<Loan::Link>(core_, *std::move(answer)));
}

int Borrower::fd() const noexcept {
  return core_->fd();
}

Result<void> Borrower::process() {
  return core_->process();
}

}  // namespace peermr::vend
