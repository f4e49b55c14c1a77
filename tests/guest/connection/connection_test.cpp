// SPDX-License-Identifier: BSD-2-Clause
//
// Data streams through a connection into the BAR of a VFIO device that is reset again and again.
// Two NICs; the kernel, its exporter and its importer are the real ones.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <thread>

#include "connection/stream.hpp"
#include "harness/lab.hpp"

namespace {

using namespace connection_test;
using namespace guest_test;
using namespace peermr;
using namespace std::chrono_literals;

class ConnectionInTheLab : public testing::Test {
 protected:
  static bool revocable() {
    const char* how = std::getenv("IMPORT");
    return how != nullptr && std::string_view(how) == "revocable";
  }
  static int resets() {
    const char* count = std::getenv("RESETS");
    return count != nullptr ? std::atoi(count) : 20;
  }

  /// Resets while `stream` runs; after each the memory must hold what was placed.
  void run(vfio::Device& device, BarIndex bar, NewGenerationPolicy policy) {
    const verbs::Context near = must(verbs::Context::open(lab_bdf("LAB_NIC0")));
    const verbs::Context far = must(verbs::Context::open(lab_bdf("LAB_NIC1")));
    const pnic_test::Pd owner_pd(ibv_alloc_pd(near.get()));
    const pnic_test::Pd writer_pd(ibv_alloc_pd(far.get()));
    ConnectionOptions options;
    options.on_new_generation = policy;
    options.recovery.limit = 20s * time_scale();
    Stream stream(writer_pd.get(), owner_pd.get(), options);
    const DmaBuf buffer =
        must(device.export_dma_buf(bar, {.offset_bytes = 0, .length_bytes = kTableBytes}));
    Region region =
        must(Region::create(owner_pd.get(), buffer,
                            {.keys = revocable() ? KeyPolicy::kFresh : KeyPolicy::kStable,
                             .on_event = stream.wake_on_change()}));
    EXPECT_EQ(region.importer().importer,
              revocable() ? verbs::ImporterClass::kRevocable : verbs::ImporterClass::kFaultable);
    clear(device, bar);
    stream.begin(region);
    reset_under(stream, device, bar, region);
    report(stream, region);
  }

  /// What an earlier test has left there is nobody's.
  static void clear(vfio::Device& device, BarIndex bar) {
    const auto mapping =
        must(device.map_bar(bar, {.offset_bytes = 0, .length_bytes = kTableBytes}));
    auto* words = reinterpret_cast<volatile std::uint64_t*>(mapping.bytes().data());
    for (std::size_t i = 0; i < kTableBytes / sizeof(std::uint64_t); ++i) words[i] = 0;
  }

  void reset_under(Stream& stream, vfio::Device& device, BarIndex bar, Region& region) {
    const auto mapping =
        must(device.map_bar(bar, {.offset_bytes = 0, .length_bytes = kTableBytes}));
    const auto* words = reinterpret_cast<const volatile std::uint64_t*>(mapping.bytes().data());
    for (int i = 0; i < resets(); ++i) {
      std::atomic<bool> over{false};
      std::thread resetter([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 7));
        const auto report = device.reset();
        EXPECT_TRUE(report) << report.error().message();
        over = true;
      });
      while (!over && stream.step()) {
      }
      resetter.join();
      ASSERT_TRUE(stream.settle(30s * time_scale())) << "reset " << i << ": " << stream.error();
      for (std::size_t slot = 0; slot < kSlots; ++slot) {
        for (std::size_t word = 0; word < kSlotBytes / 8; word += 37) {
          ASSERT_EQ(words[slot * kSlotBytes / 8 + word], stream.table()[slot])
              << "reset " << i << ", slot " << slot << ", word " << word;
        }
      }
    }
    EXPECT_EQ(region.generation(), Generation(static_cast<std::uint64_t>(resets())));
  }

  void report(const Stream& stream, const Region& region) {
    const Account& account = stream.account();
    std::printf(
        "%d resets: %lu writes, %lu pieces given back, %lu messages, %lu generations told, "
        "%lu places refused, %u connections, key epoch %lu\n",
        resets(), account.writes, account.given_back, account.messages, account.generations,
        account.not_placed, account.epochs, region.key_epoch().value());
    EXPECT_GT(account.messages, static_cast<std::uint64_t>(resets()));
    EXPECT_EQ(account.generations, static_cast<std::uint64_t>(resets()));
    EXPECT_EQ(region.key_epoch(),
              revocable() ? KeyEpoch(static_cast<std::uint64_t>(resets())) : KeyEpoch(0));
  }

  vfio::Device kept() { return must(vfio::Device::open(lab_bdf("LAB_IVSHMEM"))); }
  vfio::Device lossy() { return must(vfio::Device::open(lab_bdf("LAB_MEM1"))); }
};

TEST_F(ConnectionInTheLab, GivesWorkBackAndNothingThatWasPlacedIsMissing) {
  auto device = kept();
  run(device, lab_bar("LAB_IVSHMEM_BAR"), NewGenerationPolicy::kGiveBack);
}

TEST_F(ConnectionInTheLab, RepeatsWorkAndNothingThatWasPlacedIsMissing) {
  auto device = kept();
  run(device, lab_bar("LAB_IVSHMEM_BAR"), NewGenerationPolicy::kReplay);
}

// A device that forgets: what is not written again after a reset is missing.
TEST_F(ConnectionInTheLab, TellsOfEachLossOfADeviceThatForgets) {
  auto device = lossy();
  run(device, lab_bar("LAB_MEM_BAR"), NewGenerationPolicy::kGiveBack);
}

TEST_F(ConnectionInTheLab, TellsOfEachLossThoughItRepeats) {
  auto device = lossy();
  run(device, lab_bar("LAB_MEM_BAR"), NewGenerationPolicy::kReplay);
}

}  // namespace
