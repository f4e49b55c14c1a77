// SPDX-License-Identifier: BSD-2-Clause
#include "support/machine.hpp"

#include <fmt/format.h>

namespace peermr::test {
namespace {

namespace fs = std::filesystem;

unsigned pcie_type_code(PcieType type) {
  switch (type) {
    case PcieType::kRootPort:
      return 4;
    case PcieType::kUpstreamPort:
      return 5;
    case PcieType::kDownstreamPort:
      return 6;
    default:
      return 0;
  }
}

bool is_port(PcieType type) {
  return type == PcieType::kRootPort || type == PcieType::kUpstreamPort ||
         type == PcieType::kDownstreamPort;
}

void put(std::string& bytes, std::size_t offset, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    bytes.at(offset + i) = static_cast<char>(value >> (8 * i) & 0xff);
  }
}

// Power management, then PCI Express; AER, then ACS, as most devices have them.
std::string config_space(const Function& function) {
  std::string bytes(4096, '\0');
  put(bytes, 0x00, function.vendor, 2);
  put(bytes, 0x02, function.device, 2);
  put(bytes, 0x0e, is_port(function.type) ? 0x81 : 0x00, 1);
  if (function.type == PcieType::kConventional) return bytes.substr(0, 256);
  put(bytes, 0x06, 0x10, 2);
  put(bytes, 0x34, 0x40, 1);
  put(bytes, 0x40, 0x6001, 2);
  put(bytes, 0x60, 0x0010, 2);
  put(bytes, 0x62, pcie_type_code(function.type) << 4 | 2, 2);
  put(bytes, 0x100, function.acs ? 0x14820001u : 0x00020001u, 4);
  if (function.acs) {
    put(bytes, 0x148, 0x0001000d, 4);
    put(bytes, 0x148 + 6, *function.acs, 2);
  }
  return bytes.substr(0, function.config_bytes);
}

}  // namespace

Machine::Machine() {
  fs::create_directories(root() / "sys/bus/pci/devices");
  fs::create_directories(root() / "sys/kernel/iommu_groups");
  fs::create_directories(root() / "proc");
  fs::create_directories(root() / "dev");
  cpu("GenuineIntel", 6);
}

Machine& Machine::add(const std::string& path, const Function& function) {
  const fs::path folder = root() / "sys/devices" / path;
  const std::string bdf = folder.filename();
  write_file(folder / "vendor", fmt::format("0x{:04x}\n", function.vendor));
  write_file(folder / "device", fmt::format("0x{:04x}\n", function.device));
  write_file(folder / "class", fmt::format("0x{:06x}\n", function.class_code));
  write_file(folder / "resource", function.resource.empty() ? kNoBars : function.resource);
  write_file(folder / "config", config_space(function));
  if (function.type != PcieType::kConventional) {
    write_file(folder / "current_link_speed", "16.0 GT/s PCIe\n");
    write_file(folder / "current_link_width", "8\n");
    write_file(folder / "max_link_speed", "32.0 GT/s PCIe\n");
    write_file(folder / "max_link_width", "16\n");
  }
  if (!function.driver.empty()) {
    const fs::path driver = root() / "sys/bus/pci/drivers" / function.driver;
    fs::create_directories(driver);
    fs::create_symlink(driver, folder / "driver");
  }
  if (function.iommu_group) {
    const fs::path group =
        root() / "sys/kernel/iommu_groups" / std::to_string(*function.iommu_group);
    write_file(group / "type", "DMA\n");
    fs::create_symlink(group, folder / "iommu_group");
  }
  fs::create_symlink(folder, root() / "sys/bus/pci/devices" / bdf);
  return *this;
}

Machine& Machine::add_root_port(const std::string& path, std::uint16_t vendor, std::uint16_t device,
                                std::optional<std::uint16_t> acs) {
  Function function;
  function.vendor = vendor;
  function.device = device;
  function.class_code = 0x060400;
  function.type = PcieType::kRootPort;
  function.acs = acs;
  function.driver = "pcieport";
  return add(path, function);
}

Machine& Machine::add_switch(const std::string& path, std::uint8_t bus, unsigned ports,
                             std::optional<std::uint16_t> downstream_acs) {
  Function port;
  port.vendor = 0x10b5;  // PLX PEX 8747
  port.device = 0x8747;
  port.class_code = 0x060400;
  port.type = PcieType::kUpstreamPort;
  const std::string upstream = fmt::format("{}/0000:{:02x}:00.0", path, bus);
  add(upstream, port);
  port.type = PcieType::kDownstreamPort;
  port.acs = downstream_acs;
  for (unsigned i = 0; i < ports; ++i) {
    add(fmt::format("{}/0000:{:02x}:{:02x}.0", upstream, bus + 1, i), port);
  }
  return *this;
}

Machine& Machine::cpu(const std::string& vendor, unsigned family) {
  std::string text;
  for (int i = 0; i < 2; ++i) {
    text += fmt::format("processor\t: {}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: 1\n\n", i,
                        vendor, family);
  }
  write_file(root() / "proc/cpuinfo", text);
  return *this;
}

Machine& Machine::attribute(const std::string& bdf, const std::string& file,
                            const std::string& content) {
  write_file(fs::canonical(root() / "sys/bus/pci/devices" / bdf) / file, content);
  return *this;
}

SystemPaths Machine::paths() const {
  return {.sysfs = root() / "sys", .proc = root() / "proc", .dev = root() / "dev"};
}

}  // namespace peermr::test
