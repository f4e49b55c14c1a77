// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "support/machine.hpp"
#include "topo/json.hpp"
#include "topo/view.hpp"

namespace peermr::tool {
namespace {

using test::Function;
using test::Machine;
using testing::HasSubstr;
using testing::Not;

// Registers in BAR 0, 64 MiB of prefetchable memory in BAR 2.
constexpr const char* kBars =
    "0x00000000fe000000 0x00000000fe003fff 0x0000000000040200\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000004000000000 0x0000004003ffffff 0x000000000014220c\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";

// A switch with a NIC and a memory device, and another memory device at a root port of its own.
class TopoTest : public testing::Test {
 protected:
  void SetUp() override {
    machine_.cpu("GenuineIntel", 6);
    machine_.add_root_port("pci0000:00/0000:00:01.0", 0x1b36, 0x000c);
    machine_.add_switch("pci0000:00/0000:00:01.0", 1, 2, std::nullopt);
    const std::string port = "pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:0";
    machine_.add(port + "0.0/0000:03:00.0", nic());
    machine_.add(port + "1.0/0000:04:00.0", memory());
    machine_.add_root_port("pci0000:00/0000:00:02.0", 0x1b36, 0x000c);
    machine_.add("pci0000:00/0000:00:02.0/0000:05:00.0", memory());
    auto topology = Topology::read(machine_.paths());
    ASSERT_TRUE(topology) << topology.error().message();
    topology_.emplace(*std::move(topology));
    rdma_.push_back({"mlx5_0", Bdf(0, 3, 0, 0), "mlx5_core", verbs::ImporterClass::kFaultable, ""});
  }

  static Function nic() {
    Function function;
    function.vendor = 0x15b3;
    function.class_code = 0x020700;
    function.driver = "mlx5_core";
    function.resource = kBars;
    return function;
  }
  static Function memory() {
    Function function;
    function.driver = "vfio-pci";
    function.resource = kBars;
    return function;
  }
  [[nodiscard]] TopoView view(bool all = false) const { return {*topology_, rdma_, all}; }

  Machine machine_;
  std::optional<Topology> topology_;
  std::vector<verbs::RdmaDevice> rdma_;
};

TEST_F(TopoTest, TheTreeNestsDevicesUnderTheirBridges) {
  const std::string tree = format_tree(view());
  EXPECT_THAT(tree, HasSubstr("pci0000:00  host bridge\n"));
  EXPECT_THAT(tree, HasSubstr("│     │  └─ 0000:03:00.0"));
  EXPECT_THAT(tree, HasSubstr("RDMA mlx5_0"));
  EXPECT_THAT(tree, HasSubstr("switch, upstream port"));
  EXPECT_THAT(tree, HasSubstr("└─ 0000:00:02.0"));
}

TEST_F(TopoTest, OnlyPrefetchableMemoryOfOthersIsOffered) {
  const auto paths = view().paths();
  ASSERT_EQ(paths.size(), 2u);
  EXPECT_EQ(paths[0].provider, Bdf(0, 4, 0, 0));
  EXPECT_EQ(paths[0].bar.index, BarIndex(2));
  EXPECT_EQ(paths[1].provider, Bdf(0, 5, 0, 0));
}

TEST_F(TopoTest, AllShowsEveryMemoryBar) {
  EXPECT_EQ(view(true).paths().size(), 4u);
}

TEST_F(TopoTest, TheMatrixShowsPathsWithTheirReasons) {
  const std::string matrix = format_matrix(view());
  EXPECT_THAT(matrix, HasSubstr("from mlx5_0"));
  EXPECT_THAT(matrix, HasSubstr("0000:04:00.0 BAR 2  64 MiB  vfio-pci  bus address [1]"));
  EXPECT_THAT(matrix, HasSubstr("0000:05:00.0 BAR 2  64 MiB  vfio-pci  not supported [2]"));
  EXPECT_THAT(matrix, HasSubstr("\n[2] "));
  EXPECT_THAT(matrix, Not(HasSubstr("[3]")));
}

TEST_F(TopoTest, WithoutAnRdmaDeviceThereIsNoMatrix) {
  rdma_.clear();
  EXPECT_EQ(format_matrix(view()), "");
  EXPECT_THAT(format_tree(view()), HasSubstr("0000:05:00.0"));
}

TEST_F(TopoTest, JsonHasTheSamePaths) {
  const nlohmann::json json = to_json(view());
  EXPECT_EQ(json["schema"], "peermr-topo/1");
  ASSERT_EQ(json["paths"].size(), 2u);
  EXPECT_EQ(json["paths"][0]["path"], "bus address");
  EXPECT_EQ(json["paths"][1]["path"], "not supported");
  EXPECT_EQ(json["rdma_devices"][0]["importer"], "faultable");
}

}  // namespace
}  // namespace peermr::tool
