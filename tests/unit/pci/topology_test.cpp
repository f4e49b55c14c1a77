// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/topology.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "peermr/log.hpp"

#include "support/machine.hpp"

namespace peermr {
namespace {

using test::Function;
using test::Machine;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const PciDevice& device_of(const Topology& topology, const char* bdf) {
  const PciDevice* device = topology.find(Bdf::parse(bdf).value());
  if (device == nullptr) throw std::runtime_error(std::string("no device ") + bdf);
  return *device;
}

// A data centre server: a switch below a root port, an accelerator and a NIC below the switch.
class TopologyOfAServer : public testing::Test {
 protected:
  TopologyOfAServer() {
    machine_.add("pci0000:00/0000:00:00.0", {.vendor = 0x1022,
                                             .device = 0x1480,
                                             .class_code = 0x060000,
                                             .type = PcieType::kConventional});
    machine_.add_root_port("pci0000:00/0000:00:01.1", 0x1022, 0x1483);
    machine_.add_switch("pci0000:00/0000:00:01.1", 1, 2, test::kAcsIsolating);
    Function accelerator{.vendor = 0x10de, .device = 0x2330, .class_code = 0x030200};
    accelerator.driver = "vfio-pci";
    accelerator.iommu_group = 42;
    accelerator.resource =
        "0x0000000092000000 0x0000000092ffffff 0x0000000000040200\n"
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
        "0x0000020000000000 0x0000021fffffffff 0x000000000014220c\n"
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
        "0x0000000000003000 0x000000000000307f 0x0000000000040101\n"
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
        "0x0000000093000000 0x000000009307ffff 0x0000000000046200\n";
    machine_.add("pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:00.0/0000:03:00.0", accelerator);
    machine_.add("pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:01.0/0000:04:00.0",
                 {.vendor = 0x15b3,
                  .device = 0x1021,
                  .class_code = 0x020700,
                  .driver = "mlx5_core",
                  .iommu_group = 43});
    machine_.attribute("0000:03:00.0", "reset_method", "flr bus\n");
  }

  Machine machine_;
};

TEST_F(TopologyOfAServer, DevicesComeInTheOrderOfTheirAddresses) {
  const auto topology = Topology::read(machine_.paths());
  ASSERT_TRUE(topology) << topology.error().message();
  std::vector<std::string> names;
  for (const PciDevice& device : topology->devices()) {
    names.push_back(device.bdf.to_string());
    EXPECT_THAT(device.problems, IsEmpty()) << device.problems.front();
  }
  EXPECT_THAT(names, ElementsAre("0000:00:00.0", "0000:00:01.1", "0000:01:00.0", "0000:02:00.0",
                                 "0000:02:01.0", "0000:03:00.0", "0000:04:00.0"));
}

TEST_F(TopologyOfAServer, ParentsFollowTheFolders) {
  const Topology topology = Topology::read(machine_.paths()).value();
  EXPECT_EQ(device_of(topology, "03:00.0").parent, Bdf(0, 2, 0, 0));
  EXPECT_EQ(device_of(topology, "02:00.0").parent, Bdf(0, 1, 0, 0));
  EXPECT_EQ(device_of(topology, "00:01.1").parent, std::nullopt);
  EXPECT_EQ(device_of(topology, "03:00.0").host_bridge, "pci0000:00");
}

TEST_F(TopologyOfAServer, BarsKeepTheirNumbersSizesAndKinds) {
  const Topology topology = Topology::read(machine_.paths()).value();
  const PciDevice& device = device_of(topology, "03:00.0");
  ASSERT_THAT(device.bars, SizeIs(3));
  ASSERT_NE(device.bar(BarIndex(2)), nullptr);
  const Bar& memory = *device.bar(BarIndex(2));
  EXPECT_EQ(memory.start, 0x20000000000u);
  EXPECT_EQ(memory.size_bytes, 128ull << 30);
  EXPECT_TRUE(memory.memory && memory.prefetchable && memory.is_64bit);
  EXPECT_FALSE(device.bar(BarIndex(4))->memory);
  EXPECT_FALSE(device.bar(BarIndex(0))->prefetchable);
  EXPECT_EQ(device.bar(BarIndex(1)), nullptr);
  EXPECT_EQ(device.bar(BarIndex(6)), nullptr) << "the ROM is no BAR";
}

TEST_F(TopologyOfAServer, DriverGroupLinkAndResetMethodsAreRead) {
  const Topology topology = Topology::read(machine_.paths()).value();
  const PciDevice& device = device_of(topology, "03:00.0");
  EXPECT_EQ(device.driver, "vfio-pci");
  EXPECT_EQ(device.iommu_group, 42u);
  EXPECT_EQ(device.iommu_type, "DMA");
  EXPECT_THAT(device.reset_methods, ElementsAre("flr", "bus"));
  ASSERT_TRUE(device.link);
  EXPECT_EQ(device.link->speed, "16.0 GT/s PCIe");
  EXPECT_EQ(device.link->width, 8u);
  EXPECT_EQ(device.link->max_width, 16u);
  EXPECT_FALSE(device_of(topology, "00:00.0").link);
  EXPECT_THAT(topology.iommu_group(43), SizeIs(1));
  EXPECT_THAT(topology.iommu_group(44), IsEmpty());
}

TEST_F(TopologyOfAServer, AcsAndPortTypesComeFromTheConfigurationSpace) {
  const Topology topology = Topology::read(machine_.paths()).value();
  const PciDevice& downstream = device_of(topology, "02:00.0");
  EXPECT_EQ(downstream.pcie_type, PcieType::kDownstreamPort);
  EXPECT_TRUE(downstream.bridge);
  EXPECT_TRUE(downstream.acs.redirects());
  EXPECT_EQ(to_string(downstream.acs), "SV RR CR UF");
  const PciDevice& upstream = device_of(topology, "01:00.0");
  EXPECT_EQ(upstream.pcie_type, PcieType::kUpstreamPort);
  EXPECT_EQ(to_string(upstream.acs), "absent");
  const PciDevice& host_bridge = device_of(topology, "00:00.0");
  EXPECT_EQ(host_bridge.pcie_type, PcieType::kConventional);
  EXPECT_EQ(to_string(host_bridge.acs), "absent") << "256 bytes have no room for it";
}

TEST(Topology, AcsIsUnknownWhenTheConfigurationSpaceIsTruncated) {
  Machine machine;
  machine.add("pci0000:00/0000:00:02.0", {.config_bytes = 64});
  machine.add("pci0000:00/0000:00:03.0", {.config_bytes = 256 + 4});
  const Topology topology = Topology::read(machine.paths()).value();
  EXPECT_EQ(to_string(device_of(topology, "00:02.0").acs), "unknown");
  EXPECT_EQ(device_of(topology, "00:02.0").pcie_type, PcieType::kUnknown);
  EXPECT_EQ(to_string(device_of(topology, "00:03.0").acs), "absent") << "the list ends there";
}

TEST(Topology, AcsIsUnknownWhenTheDeviceDoesNotAnswer) {
  Machine machine;
  machine.add("pci0000:00/0000:00:02.0");
  machine.attribute("0000:00:02.0", "config", std::string(4096, '\xff'));
  const Topology topology = Topology::read(machine.paths()).value();
  EXPECT_EQ(device_of(topology, "00:02.0").acs.state, Acs::State::kUnknown);
  EXPECT_EQ(device_of(topology, "00:02.0").pcie_type, PcieType::kUnknown);
}

TEST(Topology, CapabilityListsWithALoopEnd) {
  Machine machine;
  machine.add("pci0000:00/0000:00:02.0");
  std::string config(4096, '\0');
  config[0] = '\x86';
  config[1] = '\x80';
  config[6] = '\x10';
  config[0x34] = '\x40';
  config[0x40] = '\x01';
  config[0x41] = '\x40';   // points at itself
  config[0x100] = '\x01';  // AER, version 1 ...
  config[0x102] = '\x01';
  config[0x103] = '\x10';  // ... which points at itself, too
  machine.attribute("0000:00:02.0", "config", config);
  const Topology topology = Topology::read(machine.paths()).value();
  EXPECT_EQ(device_of(topology, "00:02.0").pcie_type, PcieType::kConventional);
  EXPECT_EQ(device_of(topology, "00:02.0").acs.state, Acs::State::kAbsent);
}

TEST(Topology, RootBusBelowAnotherDeviceEndsTheChainOfParents) {
  Machine machine;
  machine.add("pci0000:00/0000:00:0e.0", {.vendor = 0x8086, .device = 0x9a0b});
  machine.add_root_port("pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0", 0x8086, 0x9a09);
  machine.add("pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0");
  const Topology topology = Topology::read(machine.paths()).value();
  const PciDevice& disk = device_of(topology, "10000:e1:00.0");
  EXPECT_EQ(disk.host_bridge, "pci10000:e0");
  EXPECT_EQ(disk.parent, Bdf(0x10000, 0xe0, 6, 0));
  EXPECT_EQ(device_of(topology, "10000:e0:06.0").parent, std::nullopt);
}

TEST(Topology, MalformedFilesAreNotedAndDoNotFailTheWhole) {
  Machine machine;
  machine.add("pci0000:00/0000:00:02.0");
  machine.add("pci0000:00/0000:00:03.0");
  machine.attribute("0000:00:02.0", "vendor", "0x1234567\n");
  machine.attribute("0000:00:02.0", "class", "network\n");
  machine.attribute("0000:00:02.0", "current_link_width", "x8\n");
  machine.attribute("0000:00:02.0", "resource",
                    "0x0000000000002000 0x0000000000001fff 0x0000000000000200\n"
                    "0x0000000000000000 0xffffffffffffffff 0x0000000000000200\n"
                    "0x1000 0x1fff\n"
                    "garbage\n");
  const Topology topology = Topology::read(machine.paths()).value();
  const PciDevice& device = device_of(topology, "00:02.0");
  EXPECT_EQ(device.vendor, 0);
  EXPECT_THAT(device.bars, IsEmpty());
  EXPECT_THAT(
      device.problems,
      ElementsAre(HasSubstr("/vendor: \"0x1234567\""), HasSubstr("/class: \"network\""),
                  HasSubstr("line 1"), HasSubstr("line 2"), HasSubstr("line 3"),
                  HasSubstr("line 4"), HasSubstr("fewer lines"), HasSubstr("current_link_width")));
  EXPECT_THAT(device_of(topology, "00:03.0").problems, IsEmpty());
}

TEST(Topology, DeviceThatVanishesWhileItIsReadLeavesProblems) {
  Machine machine;
  std::filesystem::create_symlink(machine.root() / "sys/devices/pci0000:00/0000:00:09.0",
                                  machine.root() / "sys/bus/pci/devices/0000:00:09.0");
  const Topology topology = Topology::read(machine.paths()).value();
  EXPECT_THAT(device_of(topology, "00:09.0").problems, testing::Not(IsEmpty()));
}

TEST(Topology, NamesThatAreNoAddressesAreLeftOut) {
  Machine machine;
  set_log_level(LogLevel::kOff);
  std::filesystem::create_directory(machine.root() / "sys/bus/pci/devices/garbage");
  EXPECT_THAT(Topology::read(machine.paths())->devices(), IsEmpty());
  set_log_level(LogLevel::kWarning);
}

TEST(Topology, MachineWithoutPciIsAnError) {
  const auto topology = Topology::read({.sysfs = "/nonexistent"});
  ASSERT_FALSE(topology);
  EXPECT_EQ(topology.error().code(), std::errc::no_such_file_or_directory);
}

TEST(Topology, CpuIsThatOfTheFirstProcessor) {
  Machine machine;
  machine.cpu("AuthenticAMD", 25);
  EXPECT_TRUE(Topology::read(machine.paths())->cpu().amd_zen());
  machine.cpu("AuthenticAMD", 0x16);
  EXPECT_FALSE(Topology::read(machine.paths())->cpu().amd_zen());
  machine.cpu("HygonGenuine", 24);
  EXPECT_FALSE(Topology::read(machine.paths())->cpu().amd_zen());
  std::filesystem::remove(machine.root() / "proc/cpuinfo");
  EXPECT_EQ(Topology::read(machine.paths())->cpu().family, std::nullopt);
}

}  // namespace
}  // namespace peermr
