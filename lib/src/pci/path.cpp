// SPDX-License-Identifier: BSD-2-Clause
#include "pci/path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.hpp"

// The decision follows calc_map_type_and_dist() of Linux 7.2 step by step; where a comment names a
// kernel function, it is of drivers/pci/p2pdma.c.

namespace peermr {
namespace {

constexpr std::uint16_t kAnyDevice = 0xffff;

// pci_p2pdma_whitelist[]: host bridges that are known to forward between their root ports. The ids
// are of the first device on the root bus.
struct HostBridgeRule {
  std::uint16_t vendor;
  std::uint16_t device;
  bool same_host_bridge_only;
};

constexpr HostBridgeRule kHostBridges[] = {
    {0x8086, 0x3c00, true},       // Xeon E5, Core i7 (Sandy Bridge E)
    {0x8086, 0x3c01, true},       //
    {0x8086, 0x2f00, true},       // Xeon E5 v3, E7 v3 (Haswell E)
    {0x8086, 0x2f01, true},       //
    {0x8086, 0x2030, false},      // Skylake E: root ports stand in for the missing 00.0
    {0x8086, 0x2031, false},      //
    {0x8086, 0x2032, false},      //
    {0x8086, 0x2033, false},      //
    {0x8086, 0x2020, false},      //
    {0x8086, 0x09a2, false},      // Ice Lake and later servers
    {0x8086, 0x0b25, false},      // accelerators that are alone on a root bus of their own: DSA,
    {0x8086, 0x0cfe, false},      // IAX (Sapphire Rapids),
    {0x8086, 0x11fb, false},      // DSA (Granite Rapids D),
    {0x8086, 0x1212, false},      // DSA and
    {0x8086, 0x1216, false},      // IAA (Diamond Rapids),
    {0x8086, 0x4940, false},      // QAT 4xxx,
    {0x8086, 0x4942, false},      // 401xx,
    {0x8086, 0x4944, false},      // 402xx,
    {0x8086, 0x4946, false},      // 420xx,
    {0x8086, 0x4948, false},      // 6xxx
    {0x1ae0, kAnyDevice, false},  // Google
};

struct Verdict {
  bool supported = false;
  std::string reason;
};

class PathFinder {
 public:
  PathFinder(const Topology& topology, const PciDevice& provider, const PciDevice& client)
      : topology_(topology), provider_(provider), client_(client) {}

  PathPrediction find() {
    const PciDevice* common = walk();
    PathPrediction result;
    result.distance = distance_;
    result.acs_bridges = redirecting_;
    if (common != nullptr && redirecting_.empty() && unreadable_.empty()) {
      result.path = P2pPath::kBusAddress;
      result.reason = common == &provider_ ? "it is the same function"
                                           : fmt::format("both are below {}, and no ACS redirects",
                                                         common->bdf.to_string());
      return result;
    }
    const bool below_one_bridge = common != nullptr;
    const Verdict verdict = through_host_bridge();
    if (below_one_bridge && redirecting_.empty()) return undecided(std::move(result), verdict);
    result.path = verdict.supported ? P2pPath::kHostBridge : P2pPath::kNotSupported;
    result.reason = below_one_bridge
                        ? fmt::format("ACS of {} redirects to the root complex, and {}",
                                      join(redirecting_), verdict.reason)
                        : fmt::format("no common bridge above both, and {}", verdict.reason);
    result.remedy = remedy(below_one_bridge, verdict.supported);
    return result;
  }

 private:
  // The double loop of the kernel, in its order: ACS counts on the provider and everything above it
  // up to and including the common bridge, then from the client up to but excluding that.
  const PciDevice* walk() {
    unsigned up_from_provider = 0;
    unsigned up_from_client = 0;
    for (const PciDevice* a = &provider_; a != nullptr; a = parent(*a), ++up_from_provider) {
      note_acs(*a);
      up_from_client = 0;
      for (const PciDevice* b = &client_; b != nullptr; b = parent(*b), ++up_from_client) {
        if (a != b) continue;
        for (const PciDevice* c = &client_; c != a; c = parent(*c)) note_acs(*c);
        distance_ = up_from_provider + up_from_client;
        return a;
      }
    }
    distance_ = up_from_provider + up_from_client;
    // Without a common bridge all traffic reaches the root complex anyway.
    redirecting_.clear();
    unreadable_.clear();
    return nullptr;
  }

  const PciDevice* parent(const PciDevice& device) const {
    return device.parent ? topology_.find(*device.parent) : nullptr;
  }

  void note_acs(const PciDevice& device) {
    if (device.acs.redirects()) redirecting_.push_back(device.bdf);
    if (device.acs.state == Acs::State::kUnknown) unreadable_.push_back(device.bdf);
  }

  // cpu_supports_p2pdma() || host_bridge_whitelist()
  Verdict through_host_bridge() const {
    const CpuModel& cpu = topology_.cpu();
    if (cpu.amd_zen()) {
      return {true, fmt::format("the CPU is AMD family {:x}h, all of whose host bridges forward",
                                *cpu.family)};
    }
    if (provider_.host_bridge == client_.host_bridge) {
      return host_bridge_allowed(provider_.host_bridge, true);
    }
    Verdict first = host_bridge_allowed(provider_.host_bridge, false);
    if (!first.supported) return first;
    Verdict second = host_bridge_allowed(client_.host_bridge, false);
    if (!second.supported) return second;
    return {true, first.reason + ", and " + second.reason};
  }

  // __host_bridge_whitelist()
  Verdict host_bridge_allowed(const std::string& host_bridge, bool same_host_bridge) const {
    const PciDevice* root = host_bridge_device(host_bridge);
    if (root == nullptr) {
      return {false, fmt::format("root bus {} has no device that identifies its host bridge",
                                 host_bridge.empty() ? "unknown" : host_bridge)};
    }
    const std::string name = fmt::format("host bridge {} [{:04x}:{:04x}]", root->bdf.to_string(),
                                         root->vendor, root->device);
    for (const HostBridgeRule& rule : kHostBridges) {
      if (rule.vendor != root->vendor) continue;
      if (rule.device != kAnyDevice && rule.device != root->device) continue;
      if (rule.same_host_bridge_only && !same_host_bridge) {
        return {false, name + " forwards between its own ports only"};
      }
      return {true, name + " is known to forward"};
    }
    return {false, name + " is not among those that the kernel knows to forward"};
  }

  // pci_host_bridge_dev(): the first device on the root bus, if it is 00.0 or a root port.
  const PciDevice* host_bridge_device(const std::string& host_bridge) const {
    const std::size_t colon = host_bridge.rfind(':');
    if (colon == std::string::npos) return nullptr;
    const auto bus =
        parse_number<std::uint8_t>(std::string_view(host_bridge).substr(colon + 1), 16);
    const auto& devices = topology_.devices();
    const auto first = std::find_if(devices.begin(), devices.end(), [&](const PciDevice& device) {
      return device.host_bridge == host_bridge && !device.parent && device.bdf.bus() == bus;
    });
    if (first == devices.end()) return nullptr;
    if (first->bdf.device() == 0 && first->bdf.function() == 0) return &*first;
    return is_root_port(*first) ? &*first : nullptr;
  }

  // Without privileges the capability cannot be read, but a PCI-PCI bridge with a PCIe link on a
  // root bus is nothing else.
  static bool is_root_port(const PciDevice& device) {
    if (device.pcie_type != PcieType::kUnknown) return device.pcie_type == PcieType::kRootPort;
    return device.bridge && device.link.has_value();
  }

  PathPrediction undecided(PathPrediction result, const Verdict& verdict) const {
    result.path = P2pPath::kUnknown;
    result.reason =
        fmt::format("ACS of {} cannot be read: bus address if none redirects, else {}, as {}",
                    join(unreadable_),
                    to_string(verdict.supported ? P2pPath::kHostBridge : P2pPath::kNotSupported),
                    verdict.reason);
    result.remedy = "read the configuration spaces as root";
    return result;
  }

  std::string remedy(bool below_one_bridge, bool supported) const {
    if (below_one_bridge) {
      return fmt::format(
          "for the direct way boot with pci=disable_acs_redir={}, which weakens the isolation of "
          "the "
          "devices below from each other",
          join(redirecting_, ";"));
    }
    if (!supported) return "put both devices below one PCIe switch, or use another machine";
    return {};
  }

  static std::string join(const std::vector<Bdf>& list, std::string_view separator = ", ") {
    std::string text;
    for (const Bdf& bdf : list) {
      if (!text.empty()) text += separator;
      text += bdf.to_string();
    }
    return text;
  }

  const Topology& topology_;
  const PciDevice& provider_;
  const PciDevice& client_;
  unsigned distance_ = 0;
  std::vector<Bdf> redirecting_;
  std::vector<Bdf> unreadable_;
};

}  // namespace

PathPrediction predict_path(const Topology& topology, const PciDevice& provider,
                            const PciDevice& client) {
  return PathFinder(topology, provider, client).find();
}

}  // namespace peermr
