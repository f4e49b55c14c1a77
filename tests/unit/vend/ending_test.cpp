// SPDX-License-Identifier: BSD-2-Clause
//
// The end of a vendor, and of its device.

#include <unistd.h>

#include <cerrno>

#include "vend/fixture.hpp"

namespace peermr::vend::test {
namespace {

using Kind = VendorEvent::Kind;

TEST_F(Vending, StoppingEndsAllLoansAndTheSocket) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  EXPECT_TRUE(vendor_->stop(5s).empty());
  EXPECT_EQ(device_.reachable(), 0u);
  static_cast<void>(borrower.process().has_value());
  EXPECT_EQ(loan.status().end, LoanEnd::kVendorStops);
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
  const auto refused = borrower.borrow();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code().value(), ESHUTDOWN);
}

TEST_F(Vending, StoppingSaysWhatIsStillHeld) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  device_.hold(loan.slice());
  const auto held = vendor_->stop(50ms);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].slice, loan.slice());
  EXPECT_EQ(held[0].pid, ::getpid());
  EXPECT_EQ(held[0].end, LoanEnd::kVendorStops);
  device_.let_go(loan.slice());
  EXPECT_TRUE(vendor_->stop(5s).empty());
}

TEST_F(Vending, StoppingForEverWaitsForTheLastSlice) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  device_.hold(loan.slice());
  std::thread importer([&] {
    std::this_thread::sleep_for(50ms);
    device_.let_go(loan.slice());
  });
  EXPECT_TRUE(vendor_->stop(std::chrono::milliseconds::max()).empty());
  importer.join();
}

TEST_F(Vending, WaitersAreToldThatTheVendorStops) {
  start();
  Borrower owner = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) loans.push_back(borrow(owner));
  Borrower other = connect();
  std::thread waiter([&] {
    const auto refused = other.borrow({.wait = 10s});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code().value(), ESHUTDOWN);
  });
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(vendor_->stop(5s).empty());
  waiter.join();
}

TEST_F(Vending, BorrowerLearnsThatTheVendorIsGone) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  vendor_.reset();
  Result<void> read;
  ASSERT_TRUE(eventually([&] { return !(read = borrower.process()); }));
  EXPECT_EQ(read.error().code(), std::errc::connection_reset);
  EXPECT_FALSE(loan.status().is_live());
  EXPECT_EQ(borrower.borrow().error().code(), std::errc::connection_reset);
}

TEST_F(Vending, DeviceThatGoesEndsEverything) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  device_.unplug();
  ASSERT_TRUE(
      eventually([&] { return borrower.process() && loan.status().end == LoanEnd::kDeviceGone; }));
  EXPECT_EQ(borrower.borrow().error().code(), Errc::kDead);
  EXPECT_EQ(count(Kind::kDeviceGone), 1u);
}

}  // namespace
}  // namespace peermr::vend::test
