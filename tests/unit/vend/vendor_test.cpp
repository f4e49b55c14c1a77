// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/vend.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <atomic>

#include "vend/borrower_core.hpp"
#include "vend/fixture.hpp"

namespace peermr::vend::test {
namespace {

using Kind = VendorEvent::Kind;
using testing::HasSubstr;

// Whether a request of this borrower waits, while nothing is free.
bool waits(Borrower& borrower) {
  return borrower.borrow().error().code().value() == EDQUOT;
}

TEST_F(Vending, LendsASliceWithItsDescriptor) {
  options_.mappable = true;
  start();
  Borrower borrower = connect();
  EXPECT_EQ(borrower.vendor().name, "0000:04:00.0 BAR 2");
  EXPECT_EQ(borrower.vendor().slice_bytes, FakeDevice::kSliceBytes);
  EXPECT_EQ(borrower.vendor().slices, kSlices);
  EXPECT_EQ(borrower.vendor().lease_time, 10s);
  EXPECT_TRUE(borrower.vendor().mappable);
  EXPECT_FALSE(borrower.vendor().keeps_content);
  const Loan loan = borrow(borrower);
  EXPECT_EQ(loan.size_bytes(), FakeDevice::kSliceBytes);
  EXPECT_NE(::fcntl(loan.fd(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(loan.status().is_live());
  EXPECT_LE(loan.status().expires, std::chrono::steady_clock::now() + 10s);
  EXPECT_EQ(loan.status().generation, 1u);
  const auto slices = vendor_->loans();
  EXPECT_EQ(slices[loan.slice()].state, SliceState::kLent);
  EXPECT_EQ(slices[loan.slice()].pid, ::getpid());
  EXPECT_EQ(slices[loan.slice()].loan, loan.number());
  const auto buffer = loan.buffer();
  ASSERT_FALSE(buffer) << "a memfd is no dma-buf";
  EXPECT_THAT(buffer.error().message(), HasSubstr("0000:04:00.0 BAR 2 slice"));
}

TEST_F(Vending, LendsEachSliceOnceAndSaysWhenTheNextMayBeFree) {
  start();
  Borrower borrower = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) loans.push_back(borrow(borrower));
  const auto refused = borrower.borrow();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), std::errc::device_or_resource_busy);
  EXPECT_THAT(refused.error().message(),
              HasSubstr("none of 4 slices is free; unless it is renewed"));
  ASSERT_TRUE(loans.front().give_back());
  EXPECT_TRUE(borrower.borrow({.wait = 5s}));
}

TEST_F(Vending, OverdueLoanIsTakenBackAndTheSliceLentAgain) {
  start();
  Borrower borrower = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) {
    loans.push_back(borrow(borrower, {.lease_time = 1s}));
  }
  Borrower other = connect();
  const Loan loan = borrow(other, {.wait = 5s});
  ASSERT_TRUE(eventually(
      [&] { return borrower.process() && loans[loan.slice()].status().end == LoanEnd::kOverdue; }));
  EXPECT_FALSE(loans[loan.slice()].status().is_live());
  const auto late = loans[loan.slice()].renew();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::kDead);
  EXPECT_TRUE(loans[loan.slice()].give_back()) << "it is over, which is what was asked for";
}

TEST_F(Vending, LeaseIsCutToTheVendors) {
  options_.lease_time = 100ms;
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower, {.lease_time = 24h});
  EXPECT_LE(loan.status().expires, std::chrono::steady_clock::now() + 100ms);
}

TEST_F(Vending, RenewedLoanLasts) {
  start();
  Borrower borrower = connect();
  // Longer than a busy machine keeps this thread from renewing it.
  Loan loan = borrow(borrower, {.lease_time = 2s});
  const auto first_end = loan.status().expires;
  while (std::chrono::steady_clock::now() < first_end + 100ms) {
    std::this_thread::sleep_for(40ms);
    ASSERT_TRUE(loan.renew(2s));
  }
  EXPECT_TRUE(loan.status().is_live());
  EXPECT_EQ(count(SliceState::kLent), 1u);
  ASSERT_TRUE(loan.renew(100ms));
  ASSERT_TRUE(eventually([&] { return count(SliceState::kFree) == kSlices; })) << "and then ends";
}

TEST_F(Vending, RenewalThatIsTooLateIsRefused) {
  start();
  Borrower borrower = connect();
  Loan loan = borrow(borrower, {.lease_time = 20ms});
  std::this_thread::sleep_for(60ms);
  const auto renewed = loan.renew();
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code(), Errc::kDead);
  EXPECT_FALSE(loan.status().is_live());
}

TEST_F(Vending, GivingBackWaitsUntilNobodyReachesTheSlice) {
  start();
  Borrower borrower = connect();
  Loan loan = borrow(borrower);
  device_.hold(loan.slice());
  const auto back = loan.give_back(50ms);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code(), std::errc::timed_out);
  EXPECT_EQ(loan.status().end, LoanEnd::kGivenBack) << "over all the same";
  EXPECT_EQ(device_.reachable(), 1u);
  EXPECT_EQ(count(SliceState::kTaking), 1u);
  device_.let_go(loan.slice());
  Loan next = borrow(borrower);
  ASSERT_TRUE(next.give_back());
  EXPECT_EQ(device_.reachable(), 0u);
  EXPECT_TRUE(next.give_back());
}

TEST_F(Vending, LoanThatIsDroppedIsGivenBack) {
  start();
  Borrower borrower = connect();
  { const Loan loan = borrow(borrower); }
  EXPECT_TRUE(becomes_free());
}

TEST_F(Vending, DroppingALoanThatHasEndedDoesNoHarmToTheConnection) {
  start();
  Borrower borrower = connect();
  {
    const Loan loan = borrow(borrower, {.lease_time = 20ms});
    ASSERT_TRUE(becomes_free());
  }  // the borrower has not read that it ended
  EXPECT_TRUE(borrower.borrow());
}

TEST_F(Vending, ConnectionThatEndsEndsItsLoans) {
  start();
  auto core = Borrower::Core::connect(path_, 5s).value();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(core->ask({.kind = RequestKind::kBorrow}, "borrow", 5s));
  }
  EXPECT_EQ(device_.reachable(), 3u);
  core.reset();
  EXPECT_TRUE(becomes_free());
  EXPECT_EQ(device_.reachable(), 0u);
}

TEST_F(Vending, LoanOutlivesItsBorrower) {
  start();
  std::optional<Loan> loan;
  {
    Borrower borrower = connect();
    loan.emplace(borrow(borrower));
  }
  ASSERT_TRUE(loan->renew());
  EXPECT_EQ(count(SliceState::kLent), 1u);
}

TEST_F(Vending, WaitersAreServedInTurn) {
  start();
  Borrower owner = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) loans.push_back(borrow(owner));
  std::vector<Borrower> waiters;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<int> served;
  for (int i = 0; i < 3; ++i) waiters.push_back(connect());
  std::vector<std::optional<Loan>> got(3);
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      auto loan = waiters[static_cast<std::size_t>(i)].borrow({.wait = 10s});
      ASSERT_TRUE(loan) << loan.error().message();
      const std::lock_guard lock(mutex);
      served.push_back(i);
      got[static_cast<std::size_t>(i)].emplace(*std::move(loan));
    });
    ASSERT_TRUE(eventually([&] { return waits(waiters[static_cast<std::size_t>(i)]); }));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(loans[i].give_back());
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex);
      return served.size() == i + 1;
    }));
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(served, (std::vector<int>{0, 1, 2}));
}

TEST_F(Vending, WaitEndsWhenNothingBecomesFree) {
  start();
  Borrower owner = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) loans.push_back(borrow(owner));
  const auto refused = connect().borrow({.wait = 50ms});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), std::errc::timed_out);
  EXPECT_THAT(refused.error().message(), HasSubstr("no slice became free"));
}

TEST_F(Vending, SliceWhoseImporterDoesNotLetGoIsNotLentAndHoldsUpNobody) {
  start();
  Borrower borrower = connect();
  for (std::uint32_t i = 0; i < kSlices; ++i) device_.hold(i);
  Loan stuck = borrow(borrower, {.lease_time = 30ms});
  ASSERT_TRUE(eventually([&] { return count(SliceState::kTaking) == 1; }));
  for (std::uint32_t i = 0; i < kSlices; ++i) {
    if (i != stuck.slice()) device_.let_go(i);
  }
  Borrower other = connect();
  for (int i = 0; i < 20; ++i) {
    std::vector<Loan> loans;
    for (std::uint32_t k = 0; k + 1 < kSlices; ++k) {
      loans.push_back(borrow(other, {.wait = 5s}));
      EXPECT_NE(loans.back().slice(), stuck.slice());
    }
    for (Loan& loan : loans) ASSERT_TRUE(loan.give_back());
  }
  ASSERT_TRUE(eventually([&] { return count(Kind::kWaiting) == 1; })) << "somebody should know";
  device_.let_go(stuck.slice());
  EXPECT_TRUE(becomes_free());
}

TEST_F(Vending, EveryOverdueLoanIsFencedHoweverManyAreStuck) {
  start();
  Borrower borrower = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) device_.hold(i);
  for (std::uint32_t i = 0; i < kSlices; ++i) {
    loans.push_back(borrow(borrower, {.lease_time = 30ms}));
  }
  // Each of them waits at the same time, so each buffer is dead.
  ASSERT_TRUE(eventually([&] { return device_.waiting() == kSlices; }));
  for (std::uint32_t i = 0; i < kSlices; ++i) device_.let_go(i);
  EXPECT_TRUE(becomes_free());
}

TEST_F(Vending, LimitOfABorrowerCountsWhatIsBeingTakenBack) {
  options_.max_per_borrower = 2;
  start();
  Borrower borrower = connect();
  Loan one = borrow(borrower);
  Loan two = borrow(borrower);
  const auto third = borrower.borrow({.wait = 5s});
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code().value(), EDQUOT);
  EXPECT_THAT(third.error().message(), HasSubstr("a borrower may have 2 at a time"));
  device_.hold(two.slice());
  EXPECT_FALSE(two.give_back(30ms));
  EXPECT_FALSE(borrower.borrow());
  device_.let_go(two.slice());
  ASSERT_TRUE(eventually([&] { return count(SliceState::kTaking) == 0; }));
  EXPECT_TRUE(borrower.borrow());
}

TEST_F(Vending, LimitOfAUserCountsAllItsConnections) {
  options_.max_per_user = 1;
  start();
  Borrower one = connect();
  const Loan loan = borrow(one);
  const auto refused = connect().borrow();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("a user may have 1 at a time"));
}

TEST_F(Vending, SlicesAreZeroWhenLent) {
  start();  // the fake fails a loan of what is not
  Borrower borrower = connect();
  for (int i = 0; i < 10; ++i) {
    std::vector<Loan> loans;
    for (std::uint32_t k = 0; k < kSlices; ++k) loans.push_back(borrow(borrower, {.wait = 5s}));
    for (Loan& loan : loans) ASSERT_TRUE(loan.give_back());
  }
  EXPECT_GE(device_.clears(), 10 * kSlices);
}

TEST_F(Vending, NothingIsClearedThatNobodyBorrows) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  EXPECT_EQ(device_.clears(), 1u);
}

TEST_F(Vending, ContentIsKeptWhenAskedTo) {
  options_.keep_content = true;
  device_.expect_dirty_loans();
  start();
  Borrower borrower = connect();
  EXPECT_TRUE(borrower.vendor().keeps_content);
  ASSERT_TRUE(borrow(borrower).give_back());
  EXPECT_TRUE(becomes_free());
  EXPECT_EQ(device_.clears(), 0u);
}

TEST_F(Vending, SliceThatWasClearedBeforeARevokeIsClearedAgain) {
  start();
  Borrower borrower = connect();
  ASSERT_TRUE(borrow(borrower).give_back());
  ASSERT_TRUE(eventually([&] { return device_.clears() == 2; }));
  ASSERT_TRUE(vendor_->reset());
  const Loan loan = borrow(borrower);
  EXPECT_EQ(device_.clears(), 3u);
  EXPECT_EQ(loan.status().generation, 2u);
}

TEST_F(Vending, BorrowersAreToldOfAReset) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  ASSERT_TRUE(vendor_->reset());
  ASSERT_TRUE(eventually([&] { return borrower.process() && loan.status().generation == 2; }));
  EXPECT_TRUE(loan.status().is_live()) << "the loan stays";
  EXPECT_EQ(count(Kind::kGeneration), 1u);
}

TEST_F(Vending, BorrowersAreToldOfARevokeBySomebodyElse) {
  start();
  Borrower borrower = connect();
  const Loan loan = borrow(borrower);
  device_.revoke_all();
  pollfd entry{borrower.fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 5000), 1) << "the descriptor says when there is something";
  ASSERT_TRUE(borrower.process());
  EXPECT_EQ(loan.status().generation, 2u);
}

TEST_F(Vending, SliceThatCannotBeTakenBackIsNeverLentAgain) {
  start();
  Borrower borrower = connect();
  Loan loan = borrow(borrower);
  const auto lost = loan.slice();
  device_.fail_take_back(lost);
  const auto back = loan.give_back();
  ASSERT_FALSE(back);
  EXPECT_THAT(back.error().message(), HasSubstr("still mapped"));
  EXPECT_EQ(vendor_->loans()[lost].state, SliceState::kLost);
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i + 1 < kSlices; ++i) loans.push_back(borrow(borrower));
  EXPECT_EQ(borrower.borrow().error().code(), std::errc::device_or_resource_busy);
}

TEST_F(Vending, WhileMemoryIsAwayNothingIsLentThatMustBeCleared) {
  device_.set_clear_error(make_error(Errc::kRevoked, "clear", "it", "decode is off"));
  start();
  Borrower borrower = connect();
  const auto refused = borrower.borrow();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kRevoked);
  device_.set_clear_error(std::nullopt);
  EXPECT_TRUE(borrower.borrow());
}

TEST_F(Vending, SliceThatDoesNotKeepZerosIsLostAndAnotherLent) {
  device_.set_clear_error(make_error(std::errc::io_error, "clear", "it"));
  start();
  Borrower borrower = connect();
  const auto refused = borrower.borrow({.wait = 1s});
  ASSERT_FALSE(refused);
  EXPECT_EQ(count(SliceState::kLost), kSlices);
}

TEST_F(Vending, ExportThatFailsIsToldAndCostsNoSlice) {
  device_.set_lend_error(errno_error(ENOMEM, "export", "it"));
  start();
  Borrower borrower = connect();
  const auto refused = borrower.borrow();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code().value(), ENOMEM);
  EXPECT_TRUE(becomes_free());
}

TEST_F(Vending, SliceThatCameTooLateForItsBorrowerGoesBack) {
  start();
  auto core = Borrower::Core::connect(path_, 5s).value();
  device_.hold_clearing(true);
  const auto late = core->ask({.kind = RequestKind::kBorrow}, "borrow", 30ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), std::errc::timed_out);
  device_.hold_clearing(false);
  ASSERT_TRUE(eventually([&] { return count(Kind::kLent) == 1; }));
  ASSERT_TRUE(eventually([&] { return core->process() && count(Kind::kFree) >= 2; }));
  EXPECT_TRUE(becomes_free());
}

TEST_F(Vending, LoanIsRenewedWhileAnotherThreadWaitsForASlice) {
  start();
  Borrower borrower = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) loans.push_back(borrow(borrower));
  std::thread waiter([&] { EXPECT_TRUE(borrower.borrow({.wait = 10s})); });
  for (int i = 0; i < 50; ++i) {
    for (Loan& loan : loans) ASSERT_TRUE(loan.renew());
  }
  ASSERT_TRUE(loans[0].give_back());
  waiter.join();
}

TEST_F(Vending, OneRequestOfABorrowerWaitsAtATime) {
  start();
  Borrower owner = connect();
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) loans.push_back(borrow(owner));
  std::thread waiter([&] { EXPECT_TRUE(owner.borrow({.wait = 10s})); });
  EXPECT_TRUE(eventually([&] { return waits(owner); }));
  ASSERT_TRUE(loans[0].give_back());
  waiter.join();
}

TEST_F(Vending, LargerThanASliceIsRefused) {
  start();
  const auto refused = connect().borrow({.min_bytes = FakeDevice::kSliceBytes + 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), std::errc::invalid_argument);
  EXPECT_THAT(refused.error().message(), HasSubstr("slices have 4096 bytes"));
}

TEST_F(Vending, RunsOnTheCallersLoop) {
  auto core = Vendor::Core::create(std::make_unique<FakeMemory>(device_), options_).value();
  auto vendor = Vendor::start(core, false).value();
  std::atomic<bool> end{false};
  std::thread borrowing([&] {
    Borrower borrower = connect();
    Loan loan = borrow(borrower);
    EXPECT_TRUE(loan.give_back());
    end = true;
  });
  while (!end) {
    pollfd entry{vendor.fd(), POLLIN, 0};
    ASSERT_GE(::poll(&entry, 1, 5000), 0);
    ASSERT_TRUE(vendor.process());
  }
  borrowing.join();
  EXPECT_TRUE(vendor.stop(5s).empty());
}

}  // namespace
}  // namespace peermr::vend::test
