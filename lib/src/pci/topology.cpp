// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/topology.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "pci/device_reader.hpp"
#include "pci/path.hpp"
#include "pci/sysfs.hpp"

namespace peermr {
namespace {

// ACS control register (PCI Express base, section 7.7.8.3).
constexpr struct {
  std::uint16_t bit;
  const char* name;
} kAcsBits[] = {{1u << 0, "SV"}, {1u << 1, "TB"}, {1u << 2, "RR"}, {1u << 3, "CR"},
                {1u << 4, "UF"}, {1u << 5, "EC"}, {1u << 6, "DT"}};
constexpr std::uint16_t kAcsRedirect = 1u << 2 | 1u << 3 | 1u << 5;

// Files of /proc/cpuinfo repeat per CPU: the kernel asks the first one, and so do we.
CpuModel read_cpu(const SystemPaths& paths) {
  CpuModel cpu;
  const auto text = read_file(paths.proc + "/cpuinfo");
  if (!text) {
    log(LogLevel::kInfo, "{}: the CPU is taken for one that is not AMD's", text.error().message());
    return cpu;
  }
  for (const auto line : split(*text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) break;  // an empty line ends the first CPU
    const auto key = trim(line.substr(0, colon));
    const auto value = trim(line.substr(colon + 1));
    if (key == "vendor_id") cpu.vendor = value;
    if (key == "cpu family") cpu.family = parse_number<unsigned>(value);
  }
  return cpu;
}

}  // namespace

std::string_view to_string(P2pPath path) noexcept {
  switch (path) {
    case P2pPath::kUnknown:
      return "unknown";
    case P2pPath::kBusAddress:
      return "bus address";
    case P2pPath::kHostBridge:
      return "host bridge";
    case P2pPath::kNotSupported:
      return "not supported";
  }
  return "unknown";
}

bool Acs::redirects() const noexcept {
  return state == State::kPresent && (control & kAcsRedirect) != 0;
}

std::string to_string(const Acs& acs) {
  if (acs.state == Acs::State::kUnknown) return "unknown";
  if (acs.state == Acs::State::kAbsent) return "absent";
  std::string text;
  for (const auto& [bit, name] : kAcsBits) {
    if ((acs.control & bit) == 0) continue;
    if (!text.empty()) text += ' ';
    text += name;
  }
  return text.empty() ? "off" : text;
}

const Bar* PciDevice::bar(BarIndex index) const noexcept {
  const auto found = std::find_if(bars.begin(), bars.end(),
                                  [index](const Bar& bar) { return bar.index == index; });
  return found == bars.end() ? nullptr : &*found;
}

bool CpuModel::amd_zen() const noexcept {
  return vendor == "AuthenticAMD" && family && *family >= 0x17;
}

Result<Topology> Topology::read(const SystemPaths& paths) {
  const std::string folder = paths.sysfs + "/bus/pci/devices";
  const auto names = list_directory(folder);
  if (!names) return names.error();
  Topology topology;
  for (const std::string& name : *names) {
    const auto bdf = Bdf::parse(name);
    if (!bdf) {
      log(LogLevel::kWarning, "{}/{} is not a PCI address: left out", folder, name);
      continue;
    }
    topology.devices_.push_back(read_pci_device(folder + '/' + name, *bdf));
  }
  std::sort(topology.devices_.begin(), topology.devices_.end(),
            [](const PciDevice& a, const PciDevice& b) { return a.bdf < b.bdf; });
  topology.cpu_ = read_cpu(paths);
  return topology;
}

const PciDevice* Topology::find(const Bdf& bdf) const noexcept {
  const auto found =
      std::lower_bound(devices_.begin(), devices_.end(), bdf,
                       [](const PciDevice& device, const Bdf& key) { return device.bdf < key; });
  return found != devices_.end() && found->bdf == bdf ? &*found : nullptr;
}

std::vector<const PciDevice*> Topology::iommu_group(unsigned number) const {
  std::vector<const PciDevice*> members;
  for (const PciDevice& device : devices_) {
    if (device.iommu_group == number) members.push_back(&device);
  }
  return members;
}

Result<PathPrediction> Topology::predict(const Bdf& provider, const Bdf& client) const {
  for (const Bdf& bdf : {provider, client}) {
    if (find(bdf) == nullptr) {
      return make_error(std::errc::no_such_device, "predict the path of", bdf.to_string(),
                        "no such PCI device");
    }
  }
  return predict_path(*this, *find(provider), *find(client));
}

}  // namespace peermr
