// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peermr/topology.hpp"
#include "support/machine.hpp"

namespace peermr {
namespace {

using test::Function;
using test::kAcsIsolating;
using test::kAcsOff;
using test::Machine;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

PathPrediction predict(const Machine& machine, const char* provider, const char* client) {
  return Topology::read(machine.paths())
      .value()
      .predict(Bdf::parse(provider).value(), Bdf::parse(client).value())
      .value();
}

Function host_bridge(std::uint16_t vendor, std::uint16_t device) {
  return {
      .vendor = vendor, .device = device, .class_code = 0x060000, .type = PcieType::kConventional};
}

// Memory at 04:00.0, a NIC at 05:00.0, below one switch below a root port.
void add_switched_pair(Machine& machine, std::optional<std::uint16_t> downstream_acs,
                       std::optional<std::uint16_t> root_port_acs = kAcsIsolating) {
  machine.add("pci0000:00/0000:00:00.0", host_bridge(0x8086, 0x29c0));
  machine.add_root_port("pci0000:00/0000:00:01.0", 0x8086, 0x3420, root_port_acs);
  machine.add_switch("pci0000:00/0000:00:01.0", 1, 2, downstream_acs);
  machine.add("pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:04:00.0");
  machine.add("pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:05:00.0");
}

TEST(PathBelowASwitch, IsTheBusAddressWithoutAcs) {
  Machine machine;
  add_switched_pair(machine, std::nullopt);
  const PathPrediction path = predict(machine, "04:00.0", "05:00.0");
  EXPECT_EQ(path.path, P2pPath::kBusAddress);
  EXPECT_EQ(path.distance, 4u);
  EXPECT_THAT(path.reason, HasSubstr("0000:01:00.0"));
  EXPECT_THAT(path.remedy, IsEmpty());
}

TEST(PathBelowASwitch, IsTheBusAddressWithAcsSwitchedOff) {
  Machine machine;
  add_switched_pair(machine, kAcsOff);
  EXPECT_EQ(predict(machine, "04:00.0", "05:00.0").path, P2pPath::kBusAddress);
}

TEST(PathBelowASwitch, IgnoresAcsBitsThatDoNotRedirect) {
  Machine machine;
  add_switched_pair(machine, 0x53);  // SV TB UF DT
  EXPECT_EQ(predict(machine, "04:00.0", "05:00.0").path, P2pPath::kBusAddress);
}

class PathBelowASwitchWithAcs : public testing::TestWithParam<std::uint16_t> {};

TEST_P(PathBelowASwitchWithAcs, LeavesTheSwitch) {
  Machine machine;
  add_switched_pair(machine, GetParam());
  machine.cpu("AuthenticAMD", 0x19);
  const PathPrediction path = predict(machine, "04:00.0", "05:00.0");
  EXPECT_EQ(path.path, P2pPath::kHostBridge);
  EXPECT_EQ(path.distance, 4u);
  EXPECT_THAT(path.acs_bridges, ElementsAre(Bdf(0, 2, 0, 0), Bdf(0, 2, 1, 0)));
  EXPECT_THAT(path.remedy, HasSubstr("pci=disable_acs_redir=0000:02:00.0;0000:02:01.0"));
}

INSTANTIATE_TEST_SUITE_P(RequestCompletionEgress, PathBelowASwitchWithAcs,
                         testing::Values(0x04, 0x08, 0x20, kAcsIsolating));

TEST(PathBelowASwitch, WithAcsOnOneSideOnlyLeavesTheSwitchToo) {
  for (const char* redirecting : {"0000:02:00.0", "0000:02:01.0"}) {
    Machine machine;
    add_switched_pair(machine, kAcsOff);
    std::string config(4096, '\0');
    config[0] = '\xb5';
    config[1] = '\x10';
    config[0x100] = '\x0d';
    config[0x102] = '\x01';
    config[0x106] = '\x1d';
    machine.attribute(redirecting, "config", config);
    const PathPrediction path = predict(machine, "04:00.0", "05:00.0");
    EXPECT_EQ(path.path, P2pPath::kNotSupported);
    EXPECT_THAT(path.acs_bridges, ElementsAre(Bdf::parse(redirecting).value()));
    EXPECT_THAT(path.reason, HasSubstr("[8086:29c0]"));
  }
}

TEST(PathBelowASwitch, AcsOfTheRootPortAboveTheCommonBridgeDoesNotMatter) {
  Machine machine;
  add_switched_pair(machine, std::nullopt, kAcsIsolating);
  EXPECT_EQ(predict(machine, "04:00.0", "05:00.0").path, P2pPath::kBusAddress);
}

TEST(PathBelowARootPort, AcsOfTheCommonBridgeItselfCounts) {
  for (const std::uint16_t acs : {kAcsOff, kAcsIsolating}) {
    Machine machine;
    machine.add("pci0000:00/0000:00:00.0", host_bridge(0x8086, 0x2f00));
    machine.add_root_port("pci0000:00/0000:00:02.0", 0x8086, 0x2f04, acs);
    machine.add("pci0000:00/0000:00:02.0/0000:03:00.0");
    machine.add("pci0000:00/0000:00:02.0/0000:03:00.1");
    const PathPrediction path = predict(machine, "03:00.0", "03:00.1");
    EXPECT_EQ(path.path, acs == kAcsOff ? P2pPath::kBusAddress : P2pPath::kHostBridge);
    EXPECT_EQ(path.distance, 2u);
  }
}

TEST(PathToItself, HasNoDistanceAndMindsOnlyItsOwnAcs) {
  Machine machine;
  machine.add("pci0000:00/0000:00:00.0", host_bridge(0x8086, 0x29c0));
  machine.add_root_port("pci0000:00/0000:00:02.0", 0x8086, 0x2f04, kAcsIsolating);
  machine.add("pci0000:00/0000:00:02.0/0000:03:00.0");
  machine.add("pci0000:00/0000:00:02.0/0000:03:00.1", {.acs = kAcsIsolating});
  EXPECT_EQ(predict(machine, "03:00.0", "03:00.0").path, P2pPath::kBusAddress);
  EXPECT_EQ(predict(machine, "03:00.0", "03:00.0").distance, 0u);
  EXPECT_EQ(predict(machine, "03:00.1", "03:00.1").path, P2pPath::kNotSupported);
}

TEST(PathAcrossCascadedSwitches, IsTheBusAddressAsLongAsTheyShareABridge) {
  Machine machine;
  machine.add_root_port("pci0000:00/0000:00:01.0", 0x8086, 0x3420);
  const std::string top = "pci0000:00/0000:00:01.0";
  machine.add_switch(top, 0x01, 2, std::nullopt);
  machine.add_switch(top + "/0000:01:00.0/0000:02:00.0", 0x10, 1, std::nullopt);
  machine.add_switch(top + "/0000:01:00.0/0000:02:01.0", 0x20, 1, std::nullopt);
  machine.add(top + "/0000:01:00.0/0000:02:00.0/0000:10:00.0/0000:11:00.0/0000:12:00.0");
  machine.add(top + "/0000:01:00.0/0000:02:01.0/0000:20:00.0/0000:21:00.0/0000:22:00.0");
  const PathPrediction path = predict(machine, "12:00.0", "22:00.0");
  EXPECT_EQ(path.path, P2pPath::kBusAddress);
  EXPECT_EQ(path.distance, 8u);
}

// Memory at 01:00.0 and 02:00.0 below root ports of one host bridge, 81:00.0 below another one.
void add_root_ports(Machine& machine, std::uint16_t vendor, std::uint16_t device) {
  for (const char* bus : {"00", "80"}) {
    const std::string root = std::string("pci0000:") + bus;
    const std::string prefix = root + "/0000:" + bus;
    machine.add(prefix + ":00.0", host_bridge(vendor, device));
    machine.add_root_port(prefix + ":01.0", vendor, 0x1234);
    machine.add_root_port(prefix + ":02.0", vendor, 0x1234);
  }
  machine.add("pci0000:00/0000:00:01.0/0000:01:00.0");
  machine.add("pci0000:00/0000:00:02.0/0000:02:00.0");
  machine.add("pci0000:80/0000:80:01.0/0000:81:00.0");
}

TEST(PathOnAmdZen, GoesThroughAnyHostBridge) {
  Machine machine;
  add_root_ports(machine, 0x1022, 0x1480);
  machine.cpu("AuthenticAMD", 0x17);
  EXPECT_EQ(predict(machine, "01:00.0", "02:00.0").path, P2pPath::kHostBridge);
  const PathPrediction path = predict(machine, "01:00.0", "81:00.0");
  EXPECT_EQ(path.path, P2pPath::kHostBridge);
  EXPECT_EQ(path.distance, 4u);
  EXPECT_THAT(path.reason, HasSubstr("family 17h"));
  EXPECT_THAT(path.acs_bridges, IsEmpty());
}

TEST(PathOnOlderAmd, IsNotSupported) {
  Machine machine;
  add_root_ports(machine, 0x1022, 0x1576);
  machine.cpu("AuthenticAMD", 0x15);
  EXPECT_EQ(predict(machine, "01:00.0", "02:00.0").path, P2pPath::kNotSupported);
}

TEST(PathOnIntel, NeedsAHostBridgeThatTheKernelKnows) {
  Machine machine;
  add_root_ports(machine, 0x8086, 0x29c0);  // Q35, as QEMU has it
  const PathPrediction path = predict(machine, "01:00.0", "02:00.0");
  EXPECT_EQ(path.path, P2pPath::kNotSupported);
  EXPECT_THAT(path.reason, HasSubstr("0000:00:00.0 [8086:29c0]"));
  EXPECT_THAT(path.remedy, HasSubstr("switch"));
}

TEST(PathOnIntel, IceLakeServersForwardBetweenHostBridges) {
  Machine machine;
  add_root_ports(machine, 0x8086, 0x09a2);
  EXPECT_EQ(predict(machine, "01:00.0", "02:00.0").path, P2pPath::kHostBridge);
  EXPECT_EQ(predict(machine, "01:00.0", "81:00.0").path, P2pPath::kHostBridge);
}

TEST(PathOnIntel, HaswellServersForwardWithinOneHostBridgeOnly) {
  Machine machine;
  add_root_ports(machine, 0x8086, 0x2f00);
  EXPECT_EQ(predict(machine, "01:00.0", "02:00.0").path, P2pPath::kHostBridge);
  const PathPrediction path = predict(machine, "01:00.0", "81:00.0");
  EXPECT_EQ(path.path, P2pPath::kNotSupported);
  EXPECT_THAT(path.reason, HasSubstr("own ports only"));
}

TEST(PathOnIntel, BothHostBridgesMustBeKnown) {
  Machine machine;
  machine.add("pci0000:00/0000:00:00.0", host_bridge(0x8086, 0x09a2));
  machine.add("pci0000:40/0000:40:00.0", host_bridge(0x8086, 0x1111));
  machine.add("pci0000:00/0000:00:05.0");
  machine.add("pci0000:40/0000:40:05.0");
  EXPECT_EQ(predict(machine, "00:05.0", "40:05.0").path, P2pPath::kNotSupported);
  EXPECT_EQ(predict(machine, "40:05.0", "00:05.0").path, P2pPath::kNotSupported);
}

TEST(PathOnIntel, RootPortStandsInForAMissingHostBridgeDevice) {
  // Skylake servers: root buses 16 and 64 have root ports only.
  Machine machine;
  machine.add_root_port("pci0000:16/0000:16:00.0", 0x8086, 0x2030);
  machine.add("pci0000:16/0000:16:00.0/0000:17:00.0");
  machine.add_root_port("pci0000:64/0000:64:02.0", 0x8086, 0x2032);
  machine.add("pci0000:64/0000:64:02.0/0000:65:00.0");
  EXPECT_EQ(predict(machine, "17:00.0", "65:00.0").path, P2pPath::kHostBridge);
}

TEST(PathOnIntel, OtherFirstDeviceDoesNotStandIn) {
  Machine machine;
  machine.add("pci0000:16/0000:16:05.0", {.vendor = 0x8086, .device = 0x2030});
  machine.add("pci0000:16/0000:16:06.0");
  const PathPrediction path = predict(machine, "16:05.0", "16:06.0");
  EXPECT_EQ(path.path, P2pPath::kNotSupported);
  EXPECT_THAT(path.reason, HasSubstr("no device that identifies"));
}

TEST(PathOnGoogle, AnyDeviceIdIsKnown) {
  Machine machine;
  add_root_ports(machine, 0x1ae0, 0xabcd);
  EXPECT_EQ(predict(machine, "01:00.0", "81:00.0").path, P2pPath::kHostBridge);
}

TEST(PathWithoutPrivileges, IsUnknownWhereAcsDecides) {
  Machine machine;
  machine.add("pci0000:00/0000:00:00.0", host_bridge(0x8086, 0x29c0));
  Function port{.class_code = 0x060400, .type = PcieType::kRootPort, .config_bytes = 64};
  machine.add("pci0000:00/0000:00:01.0", port);
  machine.add("pci0000:00/0000:00:02.0", port);
  machine.add("pci0000:00/0000:00:01.0/0000:01:00.0", {.config_bytes = 64});
  machine.add("pci0000:00/0000:00:01.0/0000:01:00.1", {.config_bytes = 64});
  machine.add("pci0000:00/0000:00:02.0/0000:02:00.0", {.config_bytes = 64});
  const PathPrediction path = predict(machine, "01:00.0", "01:00.1");
  EXPECT_EQ(path.path, P2pPath::kUnknown);
  EXPECT_THAT(path.reason, HasSubstr("else not supported"));
  EXPECT_THAT(path.remedy, HasSubstr("root"));
  EXPECT_EQ(predict(machine, "01:00.0", "02:00.0").path, P2pPath::kNotSupported)
      << "without a common bridge ACS does not matter";
}

TEST(PathWithoutPrivileges, RootPortIsRecognisedByItsLink) {
  Machine machine;
  Function port{.vendor = 0x8086,
                .device = 0x2030,
                .class_code = 0x060400,
                .type = PcieType::kRootPort,
                .config_bytes = 64};
  machine.add("pci0000:16/0000:16:02.0", port);
  machine.add("pci0000:16/0000:16:03.0", port);
  machine.add("pci0000:16/0000:16:02.0/0000:17:00.0", {.config_bytes = 64});
  machine.add("pci0000:16/0000:16:03.0/0000:18:00.0", {.config_bytes = 64});
  EXPECT_EQ(predict(machine, "17:00.0", "18:00.0").path, P2pPath::kHostBridge);
}

TEST(PathOfADeviceThatIsNotThere, IsAnError) {
  Machine machine;
  machine.add("pci0000:00/0000:00:05.0");
  const Topology topology = Topology::read(machine.paths()).value();
  const auto path = topology.predict(Bdf(0, 0, 5, 0), Bdf(0, 9, 0, 0));
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code(), std::errc::no_such_device);
  EXPECT_THAT(path.error().message(), HasSubstr("0000:09:00.0"));
}

}  // namespace
}  // namespace peermr
