// SPDX-License-Identifier: BSD-2-Clause
//
// The importer goes: a reset of the NIC under regions, alone and at the same time as resets of the
// device whose memory they are. Nothing waits for ever, and afterwards there is a new start.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "region/fixture.hpp"

namespace {

using namespace region_test;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const auto kPatience = 20s * time_scale();

class NicReset : public RegionInTheLab {
 protected:
  static void reset_nic() {
    std::ofstream file("/sys/bus/pci/devices/" + lab_bdf("LAB_NIC0").to_string() + "/reset");
    EXPECT_TRUE(file << "1" << std::flush);
  }

  void let_go_of_nic() {
    host_mr_.reset();
    loopback_.qp.reset();
    loopback_.cq.reset();
    loopback_.channel.reset();
    loopback_.pd.reset();
  }

  /// After a reset it is a new RDMA device.
  void take_nic_again() {
    std::optional<verbs::Context> opened;
    for (const auto end = Clock::now() + kPatience; !opened && Clock::now() < end;) {
      if (auto context = verbs::Context::open(lab_bdf("LAB_NIC0"))) {
        opened = *std::move(context);
      } else {
        std::this_thread::sleep_for(10ms);
      }
    }
    ASSERT_TRUE(opened) << "no RDMA device after the reset";
    nic_ = *std::move(opened);
    loopback_ = Loopback::create(nic_.get());
    host_mr_.reset(ibv_reg_mr(loopback_.pd.get(), host_.data(), host_.size(), IBV_ACCESS_LOCAL_WRITE));
    ASSERT_NE(host_mr_, nullptr);
  }
};

TEST_F(NicReset, RegionIsOverAndSaysWhyAndANewOneWorks) {
  const auto buffer = export_bytes(0, kBytes);
  {
    auto region = must(try_make(buffer));
    reset_nic();
    const auto report = must(device_.reset());
    EXPECT_EQ(report.regions, 1u);
    EXPECT_EQ(report.restored, 0u);
    EXPECT_NE(region.state(), RegionState::kLive);
    const auto recovered = region.recover(100ms);
    ASSERT_FALSE(recovered);
    EXPECT_NE(recovered.error().message().find(region.importer().name), std::string::npos)
        << recovered.error().message();
    static_cast<void>(region.close());
    EXPECT_EQ(region.state(), RegionState::kDead);
  }
  let_go_of_nic();
  take_nic_again();
  const auto region = must(try_make(buffer));
  expect_usable(region, 1);
}

TEST_F(NicReset, ResetsOfBothAtOnceEnd) {
  const auto monitor = must(Monitor::create());
  const auto buffer = export_bytes(0, kBytes);
  for (int i = 0; i < 10; ++i) {
    {
      auto watched = must(try_make(buffer, {.monitor = &monitor}));
      auto told = must(try_make(buffer));
      auto nic = std::async(std::launch::async, [i] {
        std::this_thread::sleep_for(std::chrono::milliseconds(i));
        reset_nic();
      });
      auto device = std::async(std::launch::async, [this] {
        for (int j = 0; j < 5; ++j) EXPECT_TRUE(device_.reset());
      });
      if (nic.wait_for(kPatience) != std::future_status::ready) give_up("the NIC's reset is stuck");
      if (device.wait_for(kPatience) != std::future_status::ready) {
        give_up("the device's reset is stuck");
      }
      static_cast<void>(watched.close());
      static_cast<void>(told.close());
    }
    let_go_of_nic();
    take_nic_again();
    const auto region = must(try_make(buffer));
    expect_usable(region, static_cast<std::uint8_t>(i));
  }
}

}  // namespace
