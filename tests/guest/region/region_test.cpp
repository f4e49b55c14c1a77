// SPDX-License-Identifier: BSD-2-Clause
//
// The library on real objects: a VFIO device, mainline's exporter, the kernel's verdicts, an RDMA
// NIC. Runs in a guest, with the variables of /etc/lab.env.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <infiniband/verbs.h>
#include <peermr/peermr.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "region/fixture.hpp"

namespace {

using namespace region_test;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

TEST_F(RegionInTheLab, WritesLandAtTheRightPlaceInTheBar) {
  const auto buffer = export_bytes(16 * kPage, 2 * kBytes);
  const auto region = must(try_make(
      buffer, {.offset_bytes = kPage, .length_bytes = kBytes, .address = Iova(0x7000'0000'0000)}));
  EXPECT_EQ(region.importer().importer, verbs::ImporterClass::kFaultable);
  expect_usable(region, 1);
  const auto mapping =
      must(device_.map_bar(bar_, {.offset_bytes = 17 * kPage, .length_bytes = kBytes}));
  const auto* bar = reinterpret_cast<const std::uint8_t*>(mapping.bytes().data());
  EXPECT_TRUE(std::equal(host_.begin(), host_.begin() + kBytes, bar));
}

TEST_F(RegionInTheLab, MemoryDecodeOffRevokesAndOnRestores) {
  const auto buffer = export_bytes(0, kBytes);
  const auto region = must(try_make(buffer));
  ASSERT_TRUE(device_.set_memory_enabled(false));
  EXPECT_EQ(device_.memory_enabled().value(), false);
  EXPECT_EQ(region.state(), RegionState::kRevoked);
  EXPECT_FALSE(region.lease());
  const auto late = try_make(buffer);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::kRevoked);
  EXPECT_THAT(late.error().message(), HasSubstr("memory decode"));
  ASSERT_TRUE(device_.set_memory_enabled(true));
  EXPECT_EQ(region.state(), RegionState::kLive);
  EXPECT_EQ(region.generation(), Generation(1));
  expect_usable(region, 2);
}

TEST_F(RegionInTheLab, BufferOfMemoryThatIsOffIsBornRevoked) {
  ASSERT_TRUE(device_.set_memory_enabled(false));
  const auto buffer = export_bytes(0, kBytes);
  EXPECT_EQ(try_make(buffer).error().code(), Errc::kRevoked);
  ASSERT_TRUE(device_.set_memory_enabled(true));
  expect_usable(must(try_make(buffer)), 3);
}

TEST_F(RegionInTheLab, ResetUnderTrafficLosesNoWriteAndNoProcess) {
  const auto buffer = export_bytes(0, kBytes);
  auto region = must(try_make(buffer));
  constexpr int kResets = 30;
  write_across_resets(region, kResets, [](ibv_wc_status status, Generation) {
    ADD_FAILURE() << ibv_wc_status_str(status);
  });
  EXPECT_EQ(region.generation(), Generation(kResets));
  EXPECT_EQ(region.key_epoch(), KeyEpoch(0));
  expect_usable(region, 4);
}

TEST_F(RegionInTheLab, ManyRegionsComeBackFromOneReset) {
  constexpr std::size_t kRegions = 64;
  std::vector<Region> regions;
  for (std::size_t i = 0; i < kRegions; ++i) {
    regions.push_back(must(try_make(export_bytes(i * kBytes, kBytes))));
  }
  const auto report = device_.reset();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->restored, kRegions);
  const auto us = [](auto time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  };
  std::printf("64 regions: quiesce %ld us, reset %ld us, restore %ld us\n",
              static_cast<long>(us(report->quiesce)), static_cast<long>(us(report->reset)),
              static_cast<long>(us(report->restore)));
  expect_usable(regions.front(), 5);
  expect_usable(regions.back(), 6);
}

TEST_F(RegionInTheLab, ClosedDeviceMeansDeadRegionsAndErrorsAtThePeers) {
  const auto buffer = export_bytes(0, kBytes);
  const auto region = must(try_make(buffer));
  const RegionKeys old = region.keys().value();
  ASSERT_TRUE(device_.close());
  EXPECT_EQ(region.state(), RegionState::kDead);
  EXPECT_FALSE(region.lease());
  EXPECT_EQ(try_make(buffer).error().code(), Errc::kDead);
  EXPECT_EQ(rdma(loopback_, IBV_WR_RDMA_WRITE, half(0), old.address.value(), old.rkey.value()),
            IBV_WC_REM_ACCESS_ERR);
}

TEST_F(RegionInTheLab, BufferOfAClosedDeviceCannotBeMappedByAnybody) {
  auto buffer = export_bytes(0, kBytes);
  auto adopted = must(DmaBuf::adopt(UniqueFd(::fcntl(buffer.fd(), F_DUPFD_CLOEXEC, 0))));
  EXPECT_EQ(adopted.size_bytes(), kBytes);
  auto region = must(try_make(adopted, {.back_off = {.limit = 20ms}}));
  ASSERT_TRUE(device_.close());
  EXPECT_EQ(region.state(), RegionState::kLive) << "nobody told";
  EXPECT_EQ(region.report_completion(IBV_WC_REM_ACCESS_ERR, region.generation()),
            CompletionVerdict::kRevoked);
  EXPECT_EQ(region.recover().error().code(), Errc::kRevoked);
}

TEST_F(RegionInTheLab, ResetThatSomebodyElseStartsLeavesTheRegionUsable) {
  const auto buffer = export_bytes(0, kBytes);
  auto region = must(try_make(buffer));
  std::ofstream("/sys/bus/pci/devices/" + lab("LAB_IVSHMEM") + "/reset") << "1" << std::flush;
  expect_usable(region, 7);
}

TEST_F(RegionInTheLab, SeveralRangesMapWhereTheKernelCan) {
  const vfio::BarRange ranges[] = {{0, kBytes / 2}, {2 * kBytes, kBytes / 2}};
  const auto buffer = must(device_.export_dma_buf(bar_, ranges));
  EXPECT_EQ(buffer.size_bytes(), kBytes);
  auto region = try_make(buffer);
  if (!region) {
    // Mainline's helper links every range at the same IOVA.
    EXPECT_EQ(lab("LAB_TOPOLOGY"), "root-ports") << region.error().message();
    EXPECT_EQ(region.error().code(), std::errc::address_in_use);
    EXPECT_THAT(region.error().message(), HasSubstr("several ranges"));
    return;
  }
  expect_usable(*region, 8);
  const auto second =
      must(device_.map_bar(bar_, {.offset_bytes = 2 * kBytes, .length_bytes = kBytes / 2}));
  const auto* bar = reinterpret_cast<const std::uint8_t*>(second.bytes().data());
  EXPECT_TRUE(std::equal(host_.begin() + kBytes / 2, host_.begin() + kBytes, bar));
}

TEST_F(RegionInTheLab, BadExportsSayWhatIsWrong) {
  EXPECT_TRUE(device_.can_export_dma_buf());
  const auto message = [&](BarIndex bar, vfio::BarRange range) {
    const auto buffer = device_.export_dma_buf(bar, range);
    return buffer ? std::string("it worked") : buffer.error().message();
  };
  const std::string name = lab("LAB_IVSHMEM");
  EXPECT_THAT(message(bar_, {1, kPage}), AllOf(HasSubstr(name), HasSubstr("not aligned")));
  EXPECT_THAT(message(bar_, {0, 0}), HasSubstr("range 0 is empty"));
  EXPECT_THAT(message(bar_, {0, 1ull << 40}), HasSubstr("ends past the BAR"));
  EXPECT_THAT(message(BarIndex(5), {0, kPage}), HasSubstr("no such BAR"));
}

TEST_F(RegionInTheLab, BadRegionsSayWhatIsWrong) {
  const auto buffer = export_bytes(0, kBytes);
  const auto message = [&](const RegionOptions& options) {
    const auto region = try_make(buffer, options);
    return region ? std::string("it worked") : region.error().message();
  };
  EXPECT_THAT(message({.offset_bytes = kBytes}), HasSubstr("not within the buffer"));
  EXPECT_THAT(message({.offset_bytes = kPage, .length_bytes = kBytes}),
              HasSubstr("not within the buffer"));
  EXPECT_THAT(message({.offset_bytes = 8, .address = Iova(0)}), HasSubstr("within a page"));
  EXPECT_THAT(message({.access = IBV_ACCESS_ON_DEMAND}), HasSubstr("access flags"));
  EXPECT_THAT(message({.keys = KeyPolicy::kFresh}), HasSubstr("fresh keys"));
}

TEST_F(RegionInTheLab, DeviceIsOpenedOnceAndByVfioOnly) {
  const auto again = vfio::Device::open(device_.bdf());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), std::errc::device_or_resource_busy) << again.error().message();
  const auto nic = vfio::Device::open(lab_bdf("LAB_NIC1"));
  ASSERT_FALSE(nic);
  EXPECT_EQ(nic.error().code(), Errc::kNotBoundToVfio);
  EXPECT_THAT(nic.error().message(), HasSubstr("driver pnic has it"));
}

TEST_F(RegionInTheLab, TwoDevicesShareAContainer) {
  auto container = must(vfio::Container::create());
  ASSERT_TRUE(device_.close());
  auto one = must(vfio::Device::open(lab_bdf("LAB_IVSHMEM"), {.container = container}));
  auto two = must(vfio::Device::open(lab_bdf("LAB_NVME"), {.container = container}));
  EXPECT_GT(must(two.bar_info(BarIndex(0))).size_bytes, 0u);
  ASSERT_TRUE(one.close());
  ASSERT_TRUE(two.reset());
}

// No device of ours: stock soft RoCE, which cannot import.
TEST_F(RegionInTheLab, ImporterWithoutDmaBufsIsNamed) {
  auto rxe = verbs::Context::open("rxe0");
  if (!rxe) GTEST_SKIP() << rxe.error().message();
  const Pd pd(ibv_alloc_pd(rxe->get()));
  const auto region = Region::create(pd.get(), export_bytes(0, kBytes));
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code(), Errc::kImporterNoDmaBuf);
  EXPECT_THAT(region.error().message(), AllOf(HasSubstr("rxe0"), HasSubstr("cannot import")));
}

// Topology `refused` only.
TEST_F(RegionInTheLab, PathThatTheKernelRefusesIsExplained) {
  const auto region = try_make(export_bytes(0, kBytes));
  if (lab("LAB_TOPOLOGY") != "refused") {
    EXPECT_TRUE(region);
    return;
  }
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code(), Errc::kPathNotSupported);
  EXPECT_THAT(region.error().message(),
              AllOf(HasSubstr(lab("LAB_NIC0")), HasSubstr(lab("LAB_IVSHMEM")),
                    HasSubstr("host bridge"), HasSubstr("switch")));
}

TEST_F(RegionInTheLab, PredictionSaysWhatTheTopologyIs) {
  const auto topology = must(Topology::read());
  const auto path = must(topology.predict(lab_bdf("LAB_IVSHMEM"), lab_bdf("LAB_NIC0")));
  const std::string name = lab("LAB_TOPOLOGY");
  EXPECT_EQ(path.path, name == "switch"    ? P2pPath::kBusAddress
                       : name == "refused" ? P2pPath::kNotSupported
                                           : P2pPath::kHostBridge)
      << path.reason;
}

}  // namespace
