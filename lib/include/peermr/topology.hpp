// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peermr/bdf.hpp"
#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"

namespace peermr {

/// Where the kernel's view of the machine is read from. Tests point it at trees of their own.
struct SystemPaths {
  std::string sysfs = "/sys";
  std::string proc = "/proc";
  std::string dev = "/dev";
};

/// How a peer-to-peer transfer travels, in the words of the kernel's enum pci_p2pdma_map_type.
enum class P2pPath {
  kUnknown,       ///< a configuration space could not be read (that takes root)
  kBusAddress,    ///< under one switch: raw bus addresses, routed by the switch
  kHostBridge,    ///< through the root complex: CPU physical addresses or IOVAs
  kNotSupported,  ///< the kernel refuses to map
};

/// "bus address", "host bridge", "not supported", "unknown".
[[nodiscard]] PEERMR_API std::string_view to_string(P2pPath path) noexcept;

/// Access Control Services of a function (PCIe base specification, section 7.7.8).
struct Acs {
  enum class State { kUnknown, kAbsent, kPresent };

  State state = State::kUnknown;
  std::uint16_t control = 0;  ///< the control register, when present

  /// Whether requests to a peer are sent up to the root complex: P2P request redirect, completion
  /// redirect or egress control, the bits that the kernel looks at.
  [[nodiscard]] PEERMR_API bool redirects() const noexcept;
};

/// "unknown", "absent", "off", or the bits that are set: "SV RR CR UF".
[[nodiscard]] PEERMR_API std::string to_string(const Acs& acs);

struct Bar {
  BarIndex index;
  std::uint64_t start = 0;       ///< CPU physical address
  std::uint64_t size_bytes = 0;  ///< not 0: absent BARs are not listed
  bool memory = false;           ///< false: I/O ports
  bool prefetchable = false;
  bool is_64bit = false;
};

/// Device/port type of the PCI Express capability.
enum class PcieType {
  kUnknown,  ///< the configuration space could not be read that far
  kConventional,
  kEndpoint,
  kRootPort,
  kUpstreamPort,
  kDownstreamPort,
  kOther,
};

struct PcieLink {
  std::string speed;  ///< as sysfs says it: "16.0 GT/s PCIe"
  unsigned width = 0;
  std::string max_speed;
  unsigned max_width = 0;
};

struct PciDevice {
  Bdf bdf;
  std::optional<Bdf> parent;  ///< the bridge above; none on a root bus
  std::string host_bridge;    ///< sysfs name of the root bus: "pci0000:00"
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;  ///< 24 bits: base class, subclass, interface
  bool bridge = false;           ///< header type 1
  PcieType pcie_type = PcieType::kUnknown;
  Acs acs;
  std::vector<Bar> bars;
  std::string driver;  ///< empty: none is bound
  std::optional<unsigned> iommu_group;
  std::string iommu_type;  ///< "DMA", "DMA-FQ", "identity", ...; empty: unknown
  std::optional<PcieLink> link;
  std::vector<std::string> reset_methods;  ///< in the order in which the kernel tries them
  std::vector<std::string> problems;       ///< files that were missing or malformed, one line each

  [[nodiscard]] PEERMR_API const Bar* bar(BarIndex index) const noexcept;
};

struct CpuModel {
  std::string vendor;              ///< "AuthenticAMD", "GenuineIntel", ...; empty: unknown
  std::optional<unsigned> family;  ///< as /proc/cpuinfo says it
  [[nodiscard]] PEERMR_API bool amd_zen() const noexcept;  ///< AMD family 17h or later
};

/// What the kernel will decide for a pair of devices, and why.
struct PathPrediction {
  P2pPath path = P2pPath::kUnknown;
  std::string reason;            ///< one sentence, without full stop
  std::string remedy;            ///< what would change it; empty: nothing is known, or needed
  unsigned distance = 0;         ///< ports between the two, as the kernel counts them
  std::vector<Bdf> acs_bridges;  ///< functions on the way whose ACS redirects
};

/// A picture of the PCI devices of a machine, taken at one moment. Immutable, hence safe to share
/// between threads.
class PEERMR_API Topology {
 public:
  /// Reads `paths`.sysfs/bus/pci/devices and `paths`.proc/cpuinfo. Files of a device that are
  /// missing or malformed do not fail the whole: they are listed in PciDevice::problems.
  /// Errors: the errno of opening the directory.
  [[nodiscard]] static Result<Topology> read(const SystemPaths& paths = {});

  /// In the order of their addresses.
  [[nodiscard]] const std::vector<PciDevice>& devices() const noexcept { return devices_; }

  /// Null when there is none. Valid as long as the Topology.
  [[nodiscard]] const PciDevice* find(const Bdf& bdf) const noexcept;

  /// Devices of an IOMMU group, bridges included, in the order of their addresses.
  [[nodiscard]] std::vector<const PciDevice*> iommu_group(unsigned number) const;

  [[nodiscard]] const CpuModel& cpu() const noexcept { return cpu_; }

  /// The way from `client`, which does the DMA, to the memory of `provider`. Follows
  /// calc_map_type_and_dist() in Linux 7.2, drivers/pci/p2pdma.c; the rules are the same
  /// since 5.10, the list of host bridges grows. Errors: std::errc::no_such_device when one of the
  /// two is not in this picture.
  [[nodiscard]] Result<PathPrediction> predict(const Bdf& provider, const Bdf& client) const;

 private:
  Topology() = default;

  std::vector<PciDevice> devices_;
  CpuModel cpu_;
};

}  // namespace peermr
