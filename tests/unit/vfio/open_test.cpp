// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "peermr/vfio.hpp"
#include "support/machine.hpp"
#include "vfio/cdev.hpp"
#include "vfio/checks.hpp"
#include "vfio/vf_token.hpp"

namespace peermr::vfio {
namespace {

using test::Function;
using test::Machine;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const Bdf kBdf(0, 4, 0, 0);
const std::string kPlace = "pci0000:00/0000:00:01.0/0000:04:00.0";

Error open_fails(const Machine& machine) {
  auto device = Device::open(kBdf, {.paths = machine.paths()});
  EXPECT_FALSE(device);
  return device.error();
}

TEST(OpenDevice, ThatDoesNotExistSaysSo) {
  const Machine machine;
  const Error error = open_fails(machine);
  EXPECT_EQ(error.code(), std::errc::no_such_device);
  EXPECT_THAT(error.message(), HasSubstr("0000:04:00.0"));
}

TEST(OpenDevice, ThatAHostDriverHasNamesItAndTheCommands) {
  Machine machine;
  machine.add(kPlace, {.driver = "nvme", .iommu_group = 7});
  const Error error = open_fails(machine);
  EXPECT_EQ(error.code(), Errc::kNotBoundToVfio);
  EXPECT_THAT(
      error.message(),
      AllOf(HasSubstr("driver nvme has it"),
            HasSubstr("echo vfio-pci > /sys/bus/pci/devices/0000:04:00.0/driver_override"),
            HasSubstr("echo 0000:04:00.0 > /sys/bus/pci/devices/0000:04:00.0/driver/unbind"),
            HasSubstr("echo 0000:04:00.0 > /sys/bus/pci/drivers_probe")));
}

TEST(OpenDevice, ThatNoDriverHasNeedsNoUnbinding) {
  Machine machine;
  machine.add(kPlace, {.iommu_group = 7});
  const Error error = open_fails(machine);
  EXPECT_EQ(error.code(), Errc::kNotBoundToVfio);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("no driver has it"), Not(HasSubstr("unbind"))));
}

TEST(OpenDevice, WithoutIommuGroupSaysHowToGetOne) {
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci"});
  const Error error = open_fails(machine);
  EXPECT_EQ(error.code(), std::errc::not_supported);
  EXPECT_THAT(error.message(), HasSubstr("IOMMU"));
}

TEST(OpenDevice, WithoutIommuGroupPeermrBarIsTheWay) {
  for (const char* driver : {"vfio-pci", "nvme", ""}) {
    Machine machine;
    machine.add(kPlace, {.driver = driver});
    EXPECT_THAT(open_fails(machine).message(),
                AllOf(HasSubstr("modprobe peermr_bar"), Not(HasSubstr("modprobe vfio-pci"))));
  }
}

TEST(OpenDevice, ThatPeermrBarHasGoesThroughItsFile) {
  Machine machine;
  machine.add(kPlace, {.driver = "peermr_bar"});
  test::write_file(machine.root() / "dev/peermr_bar/0000:04:00.0", "");
  const Error error = open_fails(machine);
  EXPECT_EQ(error.code(), std::errc::not_supported);
  EXPECT_THAT(error.message(), HasSubstr("dev/peermr_bar/0000:04:00.0"));
}

TEST(OpenDevice, WithoutTheVfioModuleSaysWhatToLoad) {
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  const Error error = open_fails(machine);
  EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("/dev/vfio/vfio"), HasSubstr("modprobe")));
}

TEST(OpenDevice, WhatIsNoVfioContainerIsRefused) {
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  test::write_file(machine.root() / "dev/vfio/vfio", "");
  const Error error = open_fails(machine);
  EXPECT_EQ(error.code(), std::errc::not_supported);
  EXPECT_THAT(error.message(), HasSubstr("type 1"));
}

TEST(OpenDevice, VariantDriversAreKnownByTheirFolder) {
  Machine machine;
  machine.add(kPlace, {.driver = "mlx5_lent", .iommu_group = 7});
  const Topology topology = Topology::read(machine.paths()).value();
  EXPECT_FALSE(check_bound_to_vfio(topology, kBdf, machine.paths()));
  std::filesystem::create_directory(machine.root() / "sys/devices" / kPlace / "vfio-dev");
  EXPECT_EQ(check_bound_to_vfio(topology, kBdf, machine.paths()).value(), 7u);
}

TEST(OpenDevice, GroupThatIsNotViableNamesTheDevicesOfHostDriversOnly) {
  Machine machine;
  Function port{
      .class_code = 0x060400, .type = PcieType::kRootPort, .driver = "pcieport", .iommu_group = 7};
  machine.add("pci0000:00/0000:00:01.0", port);
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  machine.add("pci0000:00/0000:00:01.0/0000:04:00.1",
              {.driver = "snd_hda_intel", .iommu_group = 7});
  machine.add("pci0000:00/0000:00:01.0/0000:04:00.2", {.driver = "pci-stub", .iommu_group = 7});
  machine.add("pci0000:00/0000:00:01.0/0000:04:00.3", {.iommu_group = 7});
  machine.add("pci0000:00/0000:00:02.0", {.driver = "e1000e", .iommu_group = 8});
  const Topology topology = Topology::read(machine.paths()).value();
  const Error error = not_viable_error(topology, kBdf, 7, machine.paths());
  EXPECT_EQ(error.code(), Errc::kGroupNotViable);
  EXPECT_THAT(error.message(), HasSubstr("group 7: 0000:04:00.1 (snd_hda_intel); bind"));
}

TEST(DmaBuf, AdoptsNothingElse) {
  const auto file = DmaBuf::adopt(UniqueFd(::open("/dev/null", O_RDWR)), "the slice");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), std::errc::invalid_argument);
  EXPECT_THAT(file.error().message(),
              HasSubstr("the slice: Invalid argument: it is not a dma-buf"));
  EXPECT_FALSE(DmaBuf::adopt(UniqueFd()));
}

Error cdev_fails(const Machine& machine, const OpenOptions& how = {}) {
  OpenOptions options = how;
  options.paths = machine.paths();
  options.by = OpenBy::kCdev;
  auto device = Device::open(kBdf, options);
  EXPECT_FALSE(device);
  return device.error();
}

TEST(OpenByCdev, WithoutANodeNamesTheKernelOptions) {
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  const Error error = cdev_fails(machine);
  EXPECT_EQ(error.code(), std::errc::not_supported);
  EXPECT_THAT(error.message(), HasSubstr("CONFIG_VFIO_DEVICE_CDEV"));
}

TEST(OpenByCdev, AFolderWithoutANumberIsNoNode) {
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  const auto folder = machine.root() / "sys/bus/pci/devices/0000:04:00.0/vfio-dev/vfio3";
  test::write_file(folder / "uevent", "");
  EXPECT_EQ(cdev_path(kBdf, machine.paths()), "");
  test::write_file(folder / "dev", "511:3");
  EXPECT_THAT(cdev_path(kBdf, machine.paths()), testing::EndsWith("dev/vfio/devices/vfio3"));
}

TEST(OpenByCdev, WithoutIommufdNamesItsModule) {
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  test::write_file(machine.root() / "sys/bus/pci/devices/0000:04:00.0/vfio-dev/vfio0/dev", "511:0");
  EXPECT_THAT(cdev_fails(machine).message(), HasSubstr("modprobe iommufd"));
}

TEST(OpenByCdev, IsWhatIsLeftWhereThereIsNoContainer) {
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  EXPECT_THAT(open_fails(machine).message(), HasSubstr("dev/vfio/vfio"));
  test::write_file(machine.root() / "sys/bus/pci/devices/0000:04:00.0/vfio-dev/vfio0/dev", "511:0");
  EXPECT_THAT(open_fails(machine).message(), HasSubstr("dev/iommu"));
}

TEST(VfToken, IsAUuidInItsOrder) {
  const auto token = parse_vf_token("01234567-89ab-cdef-FEDC-ba9876543210");
  ASSERT_TRUE(token);
  EXPECT_EQ(*token, (VfToken{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98,
                             0x76, 0x54, 0x32, 0x10}));
}

TEST(VfToken, OfAnyOtherFormIsRefusedAndNotRepeated) {
  const std::string good = "01234567-89ab-cdef-fedc-ba9876543210";
  for (const std::string& text :
       std::vector<std::string>{good.substr(1), good + "0", "g" + good.substr(1),
                                "0123456789ab-cdef-fedc-ba9876543210--", std::string(36, '-')}) {
    const auto token = parse_vf_token(text);
    ASSERT_FALSE(token) << text;
    EXPECT_EQ(token.error().code(), Errc::kMalformed);
    EXPECT_THAT(token.error().message(), Not(HasSubstr(text)));
  }
  Machine machine;
  machine.add(kPlace, {.driver = "vfio-pci", .iommu_group = 7});
  OpenOptions options;
  options.vf_token = "secret";
  EXPECT_EQ(cdev_fails(machine, options).code(), Errc::kMalformed);
}

}  // namespace
}  // namespace peermr::vfio
