// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peermr/topology.hpp"
#include "support/temp_dir.hpp"

namespace peermr::test {

/// A function to put into a Machine's tree. Defaults: a PCIe endpoint without ACS and BARs.
struct Function {
  std::uint16_t vendor = 0x1af4;
  std::uint16_t device = 0x1110;
  std::uint32_t class_code = 0x050000;
  PcieType type = PcieType::kEndpoint;
  std::optional<std::uint16_t> acs = std::nullopt;  ///< control register
  std::size_t config_bytes = 4096;                  ///< 64: as read without privileges
  std::string driver = {};
  std::optional<unsigned> iommu_group = {};
  std::string resource = {};  ///< empty: no BARs
};

inline constexpr std::uint16_t kAcsIsolating = 0x1d;  // SV RR CR UF: what the kernel enables
inline constexpr std::uint16_t kAcsOff = 0;

/// Builds the sysfs and proc trees of a machine in a temporary folder.
class Machine {
 public:
  Machine();

  /// `path` is the place below sysfs' devices: "pci0000:00/0000:00:01.0/0000:01:00.0". The folders
  /// above need not be functions of this tree already, but usually are.
  Machine& add(const std::string& path, const Function& function = {});
  Machine& add_root_port(const std::string& path, std::uint16_t vendor, std::uint16_t device,
                         std::optional<std::uint16_t> acs = kAcsIsolating);
  /// A switch below `path`: its upstream port at 00.0 of `bus`, and downstream ports 0 and up on
  /// the next bus, whose secondary buses follow.
  Machine& add_switch(const std::string& path, std::uint8_t bus, unsigned ports,
                      std::optional<std::uint16_t> downstream_acs);
  Machine& cpu(const std::string& vendor, unsigned family);

  /// Overwrites one file of a function.
  Machine& attribute(const std::string& bdf, const std::string& file, const std::string& content);

  [[nodiscard]] SystemPaths paths() const;
  [[nodiscard]] const std::filesystem::path& root() const { return dir_.path(); }

 private:
  TempDir dir_;
};

inline constexpr const char* kNoBars =
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";

}  // namespace peermr::test
