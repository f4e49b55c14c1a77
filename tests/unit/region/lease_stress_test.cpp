// SPDX-License-Identifier: BSD-2-Clause
//
// Leases against revokes, from several threads: what ThreadSanitizer and AddressSanitizer check.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "region/fake_registrar.hpp"
#include "base/read_section.hpp"
#include "region/region_core.hpp"

namespace peermr {
namespace {

using detail::MemoryEvents;
using detail::RegionCore;
using test::FakeDevice;
using test::FakeRegistrar;
using namespace std::chrono_literals;

TEST(LeaseStress, KeyOfAHeldLeaseIsAlwaysRegistered) {
  // The device's side of it: a key that is removed while a lease shows it would be a use after free
  // for a NIC. Keys never repeat, so one bit for each tells.
  static std::array<std::atomic<bool>, 1u << 16> registered;
  class Registrar final : public detail::Registrar {
   public:
    Registrar() { description_.importer = verbs::ImporterClass::kRevocable; }
    Result<detail::Registration> add() override {
      registered.at(++last_) = true;
      return detail::Registration{nullptr, Lkey(last_), Rkey(last_)};
    }
    Result<void> remove(const detail::Registration& registration) override {
      registered.at(registration.rkey.value()) = false;
      return {};
    }
    Result<void> probe() override { return {}; }
    const verbs::RdmaDevice& importer() const noexcept override { return description_; }
    bool ends_keys() const noexcept override { return true; }
    bool ends_keys_unrevoked() const noexcept override { return false; }
    std::chrono::nanoseconds in_kernel() const noexcept override { return {}; }

   private:
    verbs::RdmaDevice description_;
    std::uint32_t last_ = 0;
  };

  const auto events = std::make_shared<MemoryEvents>();
  const auto region = RegionCore::create(std::make_unique<Registrar>(), events, {}).value();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> leases{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      for (std::uint64_t round = 1; !stop; ++round) {
        if (const Lease lease = region->lease()) {
          ASSERT_TRUE(registered[lease->rkey.value()]);
          ASSERT_EQ(lease->generation.value(), lease->key_epoch.value());
          leases.fetch_add(1, std::memory_order_relaxed);
        }
        if (i == 0 && round % 4096 == 0) {
          region->report_completion(IBV_WC_LOC_PROT_ERR, region->generation());
        }
        // So that the writer gets its turn when there are fewer processors than threads.
        if (round % 256 == 0) std::this_thread::yield();
      }
    });
  }
  // Enough of both to meet; the time is a limit for slow machines only.
  constexpr int kRevokes = 1000;
  constexpr std::uint64_t kLeases = 1000;
  int revokes = 0;
  const auto end = std::chrono::steady_clock::now() + 20s;
  while ((revokes < kRevokes || leases < kLeases) && std::chrono::steady_clock::now() < end) {
    ASSERT_TRUE(events->quiesce_all());
    events->restore_all();
    ++revokes;
    // Without a pause the keys would be there for too short to be seen.
    std::this_thread::sleep_for(10us);
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_GE(revokes, 10);
  EXPECT_GE(leases, 10u);
  EXPECT_TRUE(region->close());
}

TEST(LeaseStress, MoreThreadsThanSlotsStillExclude) {
  // Each thread keeps its slot while it lives, so 1,100 of them use up all 1,024.
  FakeDevice device;
  const auto region =
      RegionCore::create(std::make_unique<FakeRegistrar>(device, verbs::ImporterClass::kRevocable),
                         nullptr, {})
          .value();
  std::atomic<int> inside{0};
  std::atomic<bool> leave{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 1100; ++i) {
    threads.emplace_back([&] {
      const Lease lease = region->lease();
      ++inside;
      leave.wait(false);
      --inside;
    });
  }
  while (inside < 1100) std::this_thread::sleep_for(1ms);
  std::thread closer([&] {
    EXPECT_TRUE(region->close());
    EXPECT_EQ(inside, 0);
  });
  std::this_thread::sleep_for(5ms);
  leave = true;
  leave.notify_all();
  for (auto& thread : threads) thread.join();
  closer.join();
}

TEST(LeaseStress, SlotsOfThreadsThatEndedAreUsedAgain) {
  for (int i = 0; i < 3000; ++i) {
    std::thread([] {
      detail::enter_section();
      EXPECT_NE(detail::t_sections.slot, &detail::g_shared);
      detail::leave_section();
    }).join();
  }
}

TEST(LeaseStress, SectionsOfAThreadEndInAnyOrder) {
  // A lease is in a section that others may outlast, in its own slot and in the shared one.
  const auto any_order = [] {
    EXPECT_FALSE(detail::in_section());
    detail::enter_section();
    detail::enter_section();
    detail::enter_section();
    for (int left = 3; left > 0; --left) {
      EXPECT_TRUE(detail::in_section()) << left;
      detail::leave_section();
    }
    EXPECT_FALSE(detail::in_section());
  };
  any_order();
  std::thread([&] {
    detail::t_sections.slot = &detail::g_shared;
    any_order();
    EXPECT_EQ(detail::g_shared_count, 0u);
  }).join();
}

TEST(LeaseStress, LeaseThatOutlivesItsThreadsSlotIsGivenBackAllTheSame) {
  struct Holder {
    ~Holder() {
      EXPECT_TRUE(detail::in_section());
      detail::leave_section();
      EXPECT_FALSE(detail::in_section());
    }
  };
  std::thread([] {
    // Made before the slot is claimed, so destroyed after that is given back.
    static thread_local Holder holder;
    static_cast<void>(&holder);
    detail::enter_section();
  }).join();
  EXPECT_EQ(detail::g_shared_count, 0u);
  detail::synchronize_readers();
}

}  // namespace
}  // namespace peermr
