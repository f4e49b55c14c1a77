// SPDX-License-Identifier: BSD-2-Clause
//
// Lending and borrowing through the C interface, on a device that checks what becomes of its
// slices.
#include "peermr/peermr_vend.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "capi/vend.hpp"
#include "support/temp_dir.hpp"
#include "vend/fake_memory.hpp"
#include "vend/vendor_core.hpp"
#include "vfio/fake_device.hpp"

namespace peermr {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using vend::test::FakeDevice;
using vend::test::FakeMemory;

template <typename T>
T sized() {
  T result{};
  result.size = sizeof(result);
  return result;
}

peermr_vendor_options vendor_options() {
  auto options = sized<peermr_vendor_options>();
  options.socket = "/nowhere/socket";
  options.slice_bytes = 4096;
  return options;
}

TEST(CapiVendorOptions, ZeroIsTheDefault) {
  const auto cpp = capi::to_cpp(vendor_options());
  ASSERT_TRUE(cpp);
  const vend::VendorOptions defaults;
  EXPECT_EQ(cpp->socket, "/nowhere/socket");
  EXPECT_EQ(cpp->socket_mode, defaults.socket_mode);
  EXPECT_FALSE(cpp->socket_group);
  EXPECT_EQ(cpp->lease_time, defaults.lease_time);
  EXPECT_EQ(cpp->max_borrowers, defaults.max_borrowers);
  EXPECT_FALSE(cpp->mappable);
  EXPECT_FALSE(cpp->keep_content);
  EXPECT_TRUE(cpp->own_thread);
  EXPECT_FALSE(cpp->on_event);
}

TEST(CapiVendorOptions, EachArrivesWhereItBelongs) {
  peermr_vendor_options options = vendor_options();
  options.offset = 1;
  options.length = 2;
  options.slice_bytes = 3;
  options.lease_time_ms = 4;
  options.bar = 5;
  options.flags = PEERMR_VEND_MAPPABLE | PEERMR_VEND_SOCKET_GROUP;
  options.socket_mode = 0660;
  options.socket_group = 0;
  options.max_borrowers = 6;
  options.max_per_borrower = 7;
  options.max_per_user = 8;
  auto cpp = capi::to_cpp(options);
  ASSERT_TRUE(cpp);
  EXPECT_EQ(cpp->range.offset_bytes, 1u);
  EXPECT_EQ(cpp->range.length_bytes, 2u);
  EXPECT_EQ(cpp->slice_bytes, 3u);
  EXPECT_EQ(cpp->lease_time, 4ms);
  EXPECT_EQ(cpp->bar, BarIndex(5));
  EXPECT_EQ(cpp->socket_mode, 0660u);
  EXPECT_EQ(cpp->socket_group, gid_t{0});
  EXPECT_EQ(cpp->max_borrowers, 6u);
  EXPECT_EQ(cpp->max_per_borrower, 7u);
  EXPECT_EQ(cpp->max_per_user, 8u);
  EXPECT_TRUE(cpp->mappable);
  EXPECT_FALSE(cpp->keep_content);
  options.flags = PEERMR_VEND_KEEP_CONTENT | PEERMR_VEND_OWN_LOOP;
  cpp = capi::to_cpp(options);
  ASSERT_TRUE(cpp);
  EXPECT_FALSE(cpp->socket_group);
  EXPECT_FALSE(cpp->mappable);
  EXPECT_TRUE(cpp->keep_content);
  EXPECT_FALSE(cpp->own_thread);
}

TEST(CapiVendorOptions, OfAnotherSizeOrWithWhatDoesNotExistAreRefused) {
  const auto refused = [](auto change) {
    peermr_vendor_options options = vendor_options();
    change(options);
    return !capi::to_cpp(options);
  };
  EXPECT_TRUE(refused([](auto& o) { o.size = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.size += 8; }));
  EXPECT_TRUE(refused([](auto& o) { o.socket = nullptr; }));
  EXPECT_TRUE(refused([](auto& o) { o.bar = 6; }));
  EXPECT_TRUE(refused([](auto& o) { o.flags = 16; }));
  EXPECT_TRUE(refused([](auto& o) { o.reserved = 1; }));
  EXPECT_TRUE(refused([](auto& o) { o.socket_mode = 04600; }));
}

TEST(CapiVendor, NeedsAnExporterThatCanRevoke) {
  auto exporter = peermr::test::FakeExporter::mainline();
  peermr_device device{peermr::test::open_device(exporter)};
  peermr_vendor* vendor = nullptr;
  peermr_vendor_options options = vendor_options();
  EXPECT_EQ(peermr_vendor_create(&device, &options, &vendor), -EOPNOTSUPP);
  EXPECT_THAT(peermr_last_error(), HasSubstr("peermr_"));
  options.lease_time_ms = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(peermr_vendor_create(&device, &options, &vendor), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("a year at most"));
  EXPECT_EQ(vendor, nullptr);
}

TEST(CapiVendor, NullIsRefused) {
  peermr_vendor* vendor = nullptr;
  peermr_slice slice{};
  const peermr_vendor_options options = vendor_options();
  EXPECT_EQ(peermr_vendor_create(nullptr, &options, &vendor), -EINVAL);
  EXPECT_EQ(peermr_vendor_fd(nullptr), -EINVAL);
  EXPECT_EQ(peermr_vendor_process(nullptr), -EINVAL);
  EXPECT_EQ(peermr_vendor_loans(nullptr, &slice, 1), -EINVAL);
  EXPECT_EQ(peermr_vendor_reset(nullptr), -EINVAL);
  EXPECT_EQ(peermr_vendor_stop(nullptr, 0), -EINVAL);
  peermr_vendor_close(nullptr);
}

TEST(CapiBorrower, NullIsRefused) {
  peermr_borrower* borrower = nullptr;
  peermr_loan* loan = nullptr;
  auto info = sized<peermr_vendor_info>();
  auto status = sized<peermr_loan_status>();
  peermr_dma_buf* buffer = nullptr;
  EXPECT_EQ(peermr_borrower_connect(nullptr, 0, &borrower), -EINVAL);
  EXPECT_EQ(peermr_borrower_connect("/nowhere", 0, nullptr), -EINVAL);
  EXPECT_EQ(peermr_borrower_vendor(nullptr, &info), -EINVAL);
  EXPECT_EQ(peermr_borrower_borrow(nullptr, nullptr, &loan), -EINVAL);
  EXPECT_EQ(peermr_borrower_fd(nullptr), -EINVAL);
  EXPECT_EQ(peermr_borrower_process(nullptr), -EINVAL);
  EXPECT_EQ(peermr_loan_fd(nullptr), -EINVAL);
  EXPECT_EQ(peermr_loan_buffer(nullptr, &buffer), -EINVAL);
  EXPECT_EQ(peermr_loan_query(nullptr, &status), -EINVAL);
  EXPECT_EQ(peermr_loan_renew(nullptr, 0), -EINVAL);
  EXPECT_EQ(peermr_loan_give_back(nullptr, 0), -EINVAL);
  peermr_borrower_close(nullptr);
  peermr_loan_close(nullptr);
}

TEST(CapiBorrower, NobodyThereIsAnErrorWithWhatToDo) {
  peermr_borrower* borrower = nullptr;
  EXPECT_EQ(peermr_borrower_connect("/nowhere/socket", 0, &borrower), -ENOENT);
  EXPECT_THAT(peermr_last_error(), HasSubstr("/nowhere/socket"));
  EXPECT_EQ(borrower, nullptr);
}

/// A vendor of a fake device, made of what C options say.
class CapiVending : public testing::Test {
 protected:
  static constexpr std::uint32_t kSlices = 2;

  CapiVending() {
    options_ = vendor_options();
    options_.socket = path_.c_str();
    options_.lease_time_ms = 10000;
    options_.on_event = [](const peermr_vendor_event* event, void* context) {
      auto* const test = static_cast<CapiVending*>(context);
      const std::lock_guard lock(test->mutex_);
      test->kinds_.push_back(event->kind);
      if (event->kind == PEERMR_VENDOR_REFUSED) test->why_refused_ = event->error;
      if (event->kind == PEERMR_VENDOR_LENT) {
        EXPECT_STREQ(event->error, "");
        EXPECT_EQ(event->slice.pid, ::getpid());
      }
    };
    options_.context = this;
  }
  ~CapiVending() override {
    peermr_loan_close(loan_);
    peermr_borrower_close(borrower_);
    peermr_vendor_close(vendor_);
  }

  void start() {
    const auto cpp = capi::to_cpp(options_);
    ASSERT_TRUE(cpp);
    auto core = vend::Vendor::Core::create(std::make_unique<FakeMemory>(device_), *cpp);
    ASSERT_TRUE(core) << core.error().message();
    auto vendor = vend::Vendor::start(*std::move(core), cpp->own_thread);
    ASSERT_TRUE(vendor) << vendor.error().message();
    vendor_ = new peermr_vendor{*std::move(vendor)};
  }
  void start_and_connect() {
    start();
    ASSERT_EQ(peermr_borrower_connect(path_.c_str(), 0, &borrower_), 0) << peermr_last_error();
  }
  int borrow(std::uint64_t wait_ms = 0, std::uint64_t lease_time_ms = 0) {
    auto options = sized<peermr_borrow_options>();
    options.wait_ms = wait_ms;
    options.lease_time_ms = lease_time_ms;
    return peermr_borrower_borrow(borrower_, &options, &loan_);
  }
  peermr_loan_status status() const {
    auto status = sized<peermr_loan_status>();
    EXPECT_EQ(peermr_loan_query(loan_, &status), 0);
    return status;
  }
  std::vector<int> kinds() {
    const std::lock_guard lock(mutex_);
    return kinds_;
  }

  peermr::test::TempDir dir_;
  std::string path_ = dir_.path() / "socket";
  FakeDevice device_{kSlices};
  std::mutex mutex_;  // protects what events told
  std::vector<int> kinds_;
  std::string why_refused_;
  peermr_vendor_options options_;
  peermr_vendor* vendor_ = nullptr;
  peermr_borrower* borrower_ = nullptr;
  peermr_loan* loan_ = nullptr;
};

TEST_F(CapiVending, LendsRenewsAndTakesBack) {
  options_.flags = PEERMR_VEND_MAPPABLE;
  start_and_connect();
  auto info = sized<peermr_vendor_info>();
  ASSERT_EQ(peermr_borrower_vendor(borrower_, &info), 0);
  EXPECT_STREQ(info.name, "0000:04:00.0 BAR 2");
  EXPECT_EQ(info.slice_bytes, FakeDevice::kSliceBytes);
  EXPECT_EQ(info.lease_time_ms, 10000u);
  EXPECT_EQ(info.slices, kSlices);
  EXPECT_EQ(info.flags, PEERMR_VEND_MAPPABLE);

  ASSERT_EQ(borrow(5000), 0) << peermr_last_error();
  EXPECT_NE(::fcntl(peermr_loan_fd(loan_), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(status().slice_bytes, FakeDevice::kSliceBytes);
  EXPECT_EQ(status().number, 1u);
  EXPECT_EQ(status().generation, 1u);
  EXPECT_EQ(status().end, PEERMR_LOAN_NOT_ENDED);
  EXPECT_EQ(status().live, 1u);
  const auto now = capi::to_ns(std::chrono::steady_clock::now());
  EXPECT_GT(status().expires_ns, now);
  EXPECT_LE(status().expires_ns, now + 10'000'000'000);

  std::vector<peermr_slice> slices(kSlices);
  EXPECT_EQ(peermr_vendor_loans(vendor_, nullptr, 0), static_cast<int>(kSlices));
  ASSERT_EQ(peermr_vendor_loans(vendor_, slices.data(), slices.size()), static_cast<int>(kSlices));
  const peermr_slice& lent = slices[status().slice];
  EXPECT_EQ(lent.state, PEERMR_SLICE_LENT);
  EXPECT_EQ(lent.loan, 1u);
  EXPECT_EQ(lent.slice, status().slice);
  EXPECT_EQ(lent.pid, ::getpid());
  EXPECT_EQ(lent.uid, ::getuid());
  EXPECT_GE(lent.expires_ns, status().expires_ns);

  EXPECT_EQ(peermr_loan_renew(loan_, 60), 0);
  EXPECT_LE(status().expires_ns, capi::to_ns(std::chrono::steady_clock::now() + 60ms));
  peermr_dma_buf* buffer = nullptr;
  EXPECT_EQ(peermr_loan_buffer(loan_, &buffer), -EINVAL) << "a memfd is no dma-buf";
  EXPECT_EQ(peermr_loan_give_back(loan_, 0), 0);
  EXPECT_EQ(peermr_loan_give_back(loan_, 0), 0);
  EXPECT_EQ(status().end, PEERMR_LOAN_GIVEN_BACK);
  EXPECT_EQ(status().live, 0u);
  EXPECT_EQ(device_.reachable(), 0u);
  EXPECT_EQ(peermr_loan_renew(loan_, 0), -ENODEV);
  peermr_vendor_close(vendor_);  // all events are told then
  vendor_ = nullptr;
  EXPECT_THAT(kinds(), Contains(PEERMR_VENDOR_TAKEN_BACK));
}

TEST_F(CapiVending, LoanThatIsClosedIsGivenBack) {
  start_and_connect();
  ASSERT_EQ(borrow(5000), 0);
  peermr_loan_close(loan_);
  loan_ = nullptr;
  ASSERT_EQ(peermr_vendor_stop(vendor_, 5000), 0);
  EXPECT_EQ(device_.reachable(), 0u);
}

TEST_F(CapiVending, RefusalsAreErrnoValuesWithASentence) {
  start_and_connect();
  std::vector<peermr_loan*> loans;
  for (std::uint32_t i = 0; i < kSlices; ++i) {
    ASSERT_EQ(borrow(5000), 0);
    loans.push_back(loan_);
  }
  loan_ = nullptr;
  EXPECT_EQ(borrow(), -EBUSY);
  EXPECT_THAT(peermr_last_error(), HasSubstr("none of 2 slices is free"));
  EXPECT_EQ(borrow(20), -ETIMEDOUT);
  auto options = sized<peermr_borrow_options>();
  options.min_bytes = 4097;
  EXPECT_EQ(peermr_borrower_borrow(borrower_, &options, &loan_), -EINVAL);
  options.size = 3;
  EXPECT_EQ(peermr_borrower_borrow(borrower_, &options, &loan_), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("options.size"));
  EXPECT_EQ(borrow(std::numeric_limits<std::uint64_t>::max()), -EINVAL) << "a day at most";
  EXPECT_EQ(loan_, nullptr);
  for (peermr_loan* one : loans) peermr_loan_close(one);
}

TEST_F(CapiVending, EventOfABorrowerThatBreaksTheProtocolSaysSo) {
  start();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path_.size(), sizeof(address.sun_path));
  path_.copy(address.sun_path, path_.size());
  const UniqueFd hostile(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(hostile.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
            0);
  ASSERT_EQ(::send(hostile.get(), "garbage", 7, MSG_NOSIGNAL), 7);
  char greeting[512];
  while (::recv(hostile.get(), greeting, sizeof(greeting), 0) > 0) {
  }
  peermr_vendor_close(vendor_);  // all events are told then
  vendor_ = nullptr;
  EXPECT_THAT(kinds(), Contains(PEERMR_VENDOR_REFUSED));
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(why_refused_, HasSubstr("serve a borrower: Protocol error: "));
}

TEST_F(CapiVending, ResetKeepsLoansAndBorrowersAreTold) {
  start_and_connect();
  ASSERT_EQ(borrow(5000), 0);
  ASSERT_EQ(peermr_vendor_reset(vendor_), 0);
  pollfd told{.fd = peermr_borrower_fd(borrower_), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&told, 1, 5000), 1);
  ASSERT_EQ(peermr_borrower_process(borrower_), 0);
  EXPECT_EQ(status().generation, 2u);
  EXPECT_EQ(status().live, 1u);
}

TEST_F(CapiVending, StopSaysHowManyAreHeldAndTheBorrowerWhy) {
  start_and_connect();
  ASSERT_EQ(borrow(5000), 0);
  device_.hold(status().slice);
  EXPECT_EQ(peermr_vendor_stop(vendor_, 20), 1);
  std::vector<peermr_slice> slices(1);
  EXPECT_EQ(peermr_vendor_loans(vendor_, slices.data(), slices.size()), static_cast<int>(kSlices))
      << "how many there are, though there is room for one";
  ASSERT_EQ(peermr_borrower_process(borrower_), 0);
  EXPECT_EQ(status().end, PEERMR_LOAN_VENDOR_STOPS);
  device_.let_go(status().slice);
  EXPECT_EQ(peermr_vendor_stop(vendor_, std::numeric_limits<std::uint64_t>::max()), 0);
  peermr_vendor_close(vendor_);
  vendor_ = nullptr;
  EXPECT_EQ(peermr_borrower_process(borrower_), -ECONNRESET);
  EXPECT_EQ(borrow(), -ECONNRESET);
}

TEST_F(CapiVending, WithoutAThreadTheCallersLoopDoesIt) {
  options_.flags = PEERMR_VEND_OWN_LOOP;
  start();
  EXPECT_GE(peermr_vendor_fd(vendor_), 0);
  EXPECT_EQ(peermr_vendor_process(vendor_), 0);
}

TEST_F(CapiVending, WithAThreadNobodyElseDoes) {
  start();
  EXPECT_EQ(peermr_vendor_process(vendor_), -EPERM);
  EXPECT_THAT(peermr_last_error(), HasSubstr("own thread"));
}

TEST_F(CapiVending, StructsOfAnotherSizeAreRefused) {
  start_and_connect();
  ASSERT_EQ(borrow(5000), 0);
  peermr_vendor_info info{};
  EXPECT_EQ(peermr_borrower_vendor(borrower_, &info), -EINVAL);
  peermr_loan_status status{};
  EXPECT_EQ(peermr_loan_query(loan_, &status), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("status.size"));
  peermr_slice slice{};
  EXPECT_EQ(peermr_vendor_loans(vendor_, nullptr, 1), -EINVAL);
  EXPECT_EQ(peermr_vendor_loans(vendor_, &slice, 1), static_cast<int>(kSlices));
}

}  // namespace
}  // namespace peermr
