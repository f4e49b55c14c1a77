// SPDX-License-Identifier: BSD-2-Clause
//
// Devices that are opened by their character device and an iommufd, in place of group and
// container.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/lab.hpp"
#include "pnic/verbs.hpp"

namespace {

using guest_test::lab;
using peermr::vfio::BarRange;
using peermr::vfio::Device;
using peermr::vfio::OpenBy;
using peermr::vfio::OpenOptions;
using testing::HasSubstr;

constexpr std::uint64_t kBytes = 64 << 10;

class Cdev : public testing::Test {
 protected:
  const peermr::Bdf bdf_ = guest_test::lab_bdf("LAB_MEM0");
  const peermr::BarIndex bar_ = guest_test::lab_bar("LAB_MEM_BAR");

  peermr::Result<Device> open(OpenBy by, const std::string& token = {}) const {
    OpenOptions options;
    options.by = by;
    options.vf_token = token;
    return Device::open(bdf_, options);
  }
};

TEST_F(Cdev, MapsExportsRegistersAndSurvivesAReset) {
  auto device = open(OpenBy::kCdev);
  ASSERT_TRUE(device) << device.error().message();
  auto mapping = device->map_bar(bar_, {0, kBytes});
  ASSERT_TRUE(mapping) << mapping.error().message();
  auto buffer = device->export_dma_buf(bar_, BarRange{0, kBytes});
  ASSERT_TRUE(buffer) << buffer.error().message();

  auto nic = std::move(pnic_test::open_device(lab("LAB_NIC0")).value());
  const pnic_test::Pd pd(ibv_alloc_pd(nic.get()));
  auto region = peermr::Region::create(pd.get(), *buffer);
  ASSERT_TRUE(region) << region.error().message();
  ASSERT_TRUE(region->lease());
  const auto report = device->reset();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->regions, 1u);
  EXPECT_EQ(report->restored, 1u);
  EXPECT_TRUE(region->lease());
}

TEST_F(Cdev, ExcludesTheGroupAndTheOtherWayRound) {
  {
    auto device = open(OpenBy::kCdev);
    ASSERT_TRUE(device) << device.error().message();
    auto second = open(OpenBy::kGroup);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), std::errc::device_or_resource_busy);
  }
  auto device = open(OpenBy::kGroup);
  ASSERT_TRUE(device) << device.error().message();
  auto second = open(OpenBy::kCdev);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("IOMMU group is open"));
}

TEST_F(Cdev, HasOneUserAtATime) {
  auto device = open(OpenBy::kCdev);
  ASSERT_TRUE(device) << device.error().message();
  auto second = open(OpenBy::kCdev);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("another descriptor has it"));
  ASSERT_TRUE(device->close());
  EXPECT_TRUE(open(OpenBy::kCdev));
}

// The device is no virtual function: the kernel refuses a token that nobody asked for, both ways.
TEST_F(Cdev, ATokenThatIsNotNeededIsRefused) {
  for (OpenBy by : {OpenBy::kCdev, OpenBy::kGroup}) {
    auto device = open(by, "01234567-89ab-cdef-fedc-ba9876543210");
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().code(), std::errc::invalid_argument) << device.error().message();
  }
}

}  // namespace
