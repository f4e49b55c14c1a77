// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "peermr/borrow.hpp"
#include "peermr/vend.hpp"
#include "support/temp_dir.hpp"
#include "vend/fake_memory.hpp"
#include "vend/vendor_core.hpp"

namespace peermr::vend::test {

using namespace std::chrono_literals;

/// A vendor of a fake device, with its own thread.
class Vending : public testing::Test {
 protected:
  static constexpr std::uint32_t kSlices = 4;

  Vending() {
    options_.socket = path_;
    options_.lease_time = 10s;
    options_.on_event = [this](const VendorEvent& event) {
      const std::lock_guard lock(events_mutex_);
      events_.push_back(event);
    };
  }

  void start() {
    auto core = Vendor::Core::create(std::make_unique<FakeMemory>(device_), options_);
    ASSERT_TRUE(core) << core.error().message();
    auto vendor = Vendor::start(*std::move(core), true);
    ASSERT_TRUE(vendor) << vendor.error().message();
    vendor_.emplace(*std::move(vendor));
  }

  Borrower connect() {
    auto borrower = Borrower::connect(path_);
    EXPECT_TRUE(borrower) << borrower.error().message();
    return *std::move(borrower);
  }
  static Loan borrow(Borrower& borrower, const BorrowOptions& options = {}) {
    auto loan = borrower.borrow(options);
    EXPECT_TRUE(loan) << loan.error().message();
    return *std::move(loan);
  }

  static bool eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  std::size_t count(SliceState state) const {
    std::size_t found = 0;
    for (const auto& slice : vendor_->loans()) found += slice.state == state ? 1 : 0;
    return found;
  }
  std::size_t count(VendorEvent::Kind kind) {
    const std::lock_guard lock(events_mutex_);
    std::size_t found = 0;
    for (const auto& event : events_) found += event.kind == kind ? 1 : 0;
    return found;
  }
  bool becomes_free() {
    return eventually([this] { return count(SliceState::kFree) == kSlices; });
  }

  peermr::test::TempDir dir_;
  std::string path_ = dir_.path() / "socket";
  FakeDevice device_{kSlices};
  std::mutex events_mutex_;
  std::vector<VendorEvent> events_;
  VendorOptions options_;
  std::optional<Vendor> vendor_;
};

}  // namespace peermr::vend::test
