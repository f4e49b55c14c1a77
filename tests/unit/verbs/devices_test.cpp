// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peermr/verbs.hpp"
#include "support/machine.hpp"

namespace peermr::verbs {
namespace {

using test::Machine;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

void add_rdma_device(Machine& machine, const std::string& name, const std::string& bdf) {
  const auto folder = machine.root() / "sys/class/infiniband" / name;
  test::write_file(folder / "node_desc", "a node\n");
  if (!bdf.empty()) {
    std::filesystem::create_symlink(
        std::filesystem::canonical(machine.root() / "sys/bus/pci/devices" / bdf),
        folder / "device");
  }
}

TEST(RdmaDevices, AreNamedWithTheirPciFunctionAndImporterClass) {
  Machine machine;
  machine.add("pci0000:00/0000:00:03.0", {.driver = "pnic"});
  machine.add("pci0000:00/0000:00:04.0", {.driver = "ice"});
  machine.add("pci0000:00/0000:00:05.0", {.driver = "efa"});
  add_rdma_device(machine, "pnic0", "0000:00:03.0");
  add_rdma_device(machine, "irdma0", "0000:00:04.0");
  add_rdma_device(machine, "rdmap5s0", "0000:00:05.0");
  const auto devices = list_devices(machine.paths()).value();
  ASSERT_THAT(devices, SizeIs(3));
  EXPECT_EQ(devices[0].name, "irdma0");
  EXPECT_EQ(devices[0].importer, ImporterClass::kRevocable);
  EXPECT_EQ(devices[1].name, "pnic0");
  EXPECT_EQ(devices[1].bdf, Bdf(0, 0, 3, 0));
  EXPECT_EQ(devices[1].driver, "pnic");
  EXPECT_EQ(devices[1].importer, ImporterClass::kFaultable);
  EXPECT_EQ(devices[2].importer, ImporterClass::kPinned);
  EXPECT_THAT(devices[2].importer_reason, HasSubstr("refuses"));
}

TEST(RdmaDevices, OfPnicAreOfTheClassThatItsModuleParameterSays) {
  Machine machine;
  machine.add("pci0000:00/0000:00:03.0", {.driver = "pnic"});
  add_rdma_device(machine, "pnic0", "0000:00:03.0");
  const auto parameter = machine.root() / "sys/module/pnic/parameters/dmabuf_import";
  test::write_file(parameter, "revocable\n");
  EXPECT_EQ(list_devices(machine.paths())->front().importer, ImporterClass::kRevocable);
  test::write_file(parameter, "faultable\n");
  EXPECT_EQ(list_devices(machine.paths())->front().importer, ImporterClass::kFaultable);
}

TEST(RdmaDevices, OfSoftwareAreNotTakenForTheNicBelowThem) {
  Machine machine;
  machine.add("pci0000:00/0000:00:03.0", {.driver = "mlx5_core"});
  add_rdma_device(machine, "rxe0", "0000:00:03.0");
  test::write_file(machine.root() / "sys/class/infiniband/rxe0/parent", "eth0\n");
  add_rdma_device(machine, "siw0", "");
  test::write_file(machine.root() / "sys/class/infiniband/siw0/node_desc",
                   "Software iWARP stack\n");
  const auto devices = list_devices(machine.paths()).value();
  ASSERT_THAT(devices, SizeIs(2));
  EXPECT_EQ(devices[0].driver, "rxe");
  EXPECT_EQ(devices[0].importer, ImporterClass::kNone);
  EXPECT_EQ(devices[0].bdf, std::nullopt);
  EXPECT_EQ(devices[1].driver, "siw");
}

TEST(RdmaDevices, OfUnknownDriversAreOfUnknownClass) {
  Machine machine;
  machine.add("pci0000:00/0000:00:03.0", {.driver = "brand_new"});
  add_rdma_device(machine, "new0", "0000:00:03.0");
  EXPECT_EQ(list_devices(machine.paths())->front().importer, ImporterClass::kUnknown);
}

TEST(RdmaDevices, AreNoneWithoutTheSubsystem) {
  const Machine machine;
  EXPECT_THAT(list_devices(machine.paths()).value(), IsEmpty());
}

TEST(OpenRdmaDevice, ThatDoesNotExistNamesThoseThatDo) {
  Machine machine;
  machine.add("pci0000:00/0000:00:03.0", {.driver = "pnic"});
  add_rdma_device(machine, "pnic0", "0000:00:03.0");
  const auto by_name = Context::open("pnic1", machine.paths());
  ASSERT_FALSE(by_name);
  EXPECT_EQ(by_name.error().code(), std::errc::no_such_device);
  EXPECT_THAT(by_name.error().message(), HasSubstr("pnic0 (0000:00:03.0)"));
  const auto by_bdf = Context::open(Bdf(0, 9, 0, 0), machine.paths());
  ASSERT_FALSE(by_bdf);
  EXPECT_THAT(by_bdf.error().message(), HasSubstr("0000:09:00.0"));
}

TEST(OpenRdmaDevice, WithoutAnyRdmaDeviceSaysSo) {
  const Machine machine;
  EXPECT_THAT(Context::open("pnic0", machine.paths()).error().message(),
              HasSubstr("no RDMA device"));
}

}  // namespace
}  // namespace peermr::verbs
