// SPDX-License-Identifier: BSD-2-Clause
#include "topo/view.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <set>

#include "base/table.hpp"
#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kWorthwhile = 64u << 10;
constexpr std::size_t kWidth = 110;

bool vfio_has(const PciDevice& device) {
  return device.driver.find("vfio") != std::string::npos;
}

std::string_view type_name(const PciDevice& device) {
  switch (device.pcie_type) {
    case PcieType::kRootPort:
      return "root port";
    case PcieType::kUpstreamPort:
      return "switch, upstream port";
    case PcieType::kDownstreamPort:
      return "switch, downstream port";
    default:
      return device.bridge ? "bridge" : "";
  }
}

// The devices to show: the relevant ones and all bridges above them.
std::set<Bdf> shown(const TopoView& view) {
  std::set<Bdf> result;
  for (const PciDevice& device : view.topology.devices()) {
    if (!view.relevant(device)) continue;
    for (const PciDevice* at = &device; at != nullptr;
         at = at->parent ? view.topology.find(*at->parent) : nullptr) {
      if (!result.insert(at->bdf).second) break;
    }
  }
  return result;
}

std::string describe(const TopoView& view, const PciDevice& device) {
  std::string line =
      fmt::format("{}  [{:04x}:{:04x}]", device.bdf.to_string(), device.vendor, device.device);
  const auto add = [&line](std::string_view text) { line += fmt::format("  {}", text); };
  if (!type_name(device).empty()) add(type_name(device));
  const std::string rdma = view.rdma_name(device.bdf);
  if (!rdma.empty()) add("RDMA " + rdma);
  if (!device.driver.empty()) add("driver " + device.driver);
  if (device.bridge) add("ACS " + to_string(device.acs));
  if (device.iommu_group) {
    add(fmt::format("group {}{}{}", *device.iommu_group, device.iommu_type.empty() ? "" : " ",
                    device.iommu_type));
  }
  for (const Bar& bar : view.memory_bars(device)) {
    add(fmt::format("BAR {} {}", bar.index.value(), format_bytes(bar.size_bytes)));
  }
  return line;
}

class TreeWriter {
 public:
  explicit TreeWriter(const TopoView& view) : view_(view), shown_(shown(view)) {}

  std::string write() {
    std::vector<std::string> roots;
    for (const PciDevice& device : view_.topology.devices()) {
      if (device.parent || shown_.count(device.bdf) == 0) continue;
      if (std::find(roots.begin(), roots.end(), device.host_bridge) == roots.end()) {
        roots.push_back(device.host_bridge);
      }
    }
    for (const std::string& root : roots) {
      out_ += root + "  host bridge\n";
      write_children(
          [&root](const PciDevice& device) { return !device.parent && device.host_bridge == root; },
          "");
    }
    return out_;
  }

 private:
  // Not a template: each level would instantiate it for another lambda, without end.
  void write_children(const std::function<bool(const PciDevice&)>& is_child,
                      const std::string& indent) {
    std::vector<const PciDevice*> children;
    for (const PciDevice& device : view_.topology.devices()) {
      if (shown_.count(device.bdf) != 0 && is_child(device)) children.push_back(&device);
    }
    for (const PciDevice* child : children) {
      const bool last = child == children.back();
      out_ += indent + (last ? "└─ " : "├─ ") + describe(view_, *child) + '\n';
      write_children([child](const PciDevice& device) { return device.parent == child->bdf; },
                     indent + (last ? "   " : "│  "));
    }
  }

  const TopoView& view_;
  std::set<Bdf> shown_;
  std::string out_;
};

// Reasons repeat: each is said once, under a number.
class Notes {
 public:
  std::string reference(const std::string& text) {
    auto found = std::find(texts_.begin(), texts_.end(), text);
    if (found == texts_.end()) found = texts_.insert(texts_.end(), text);
    return fmt::format("[{}]", found - texts_.begin() + 1);
  }
  [[nodiscard]] std::string to_string() const {
    std::string out;
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      const std::string head = fmt::format("[{}] ", i + 1);
      out += head + wrap(texts_[i], kWidth - head.size(), std::string(head.size(), ' ')) + '\n';
    }
    return out;
  }

 private:
  std::vector<std::string> texts_;
};

}  // namespace

std::string TopoView::rdma_name(const Bdf& bdf) const {
  for (const auto& device : rdma) {
    if (device.bdf == bdf) return device.name;
  }
  return {};
}

bool TopoView::relevant(const PciDevice& device) const {
  if (all || !rdma_name(device.bdf).empty()) return true;
  if (device.bridge) return false;
  if (vfio_has(device)) return true;
  const auto bars = memory_bars(device);
  return std::any_of(bars.begin(), bars.end(),
                     [](const Bar& bar) { return bar.size_bytes >= kWorthwhile; });
}

std::vector<Bar> TopoView::memory_bars(const PciDevice& device) const {
  std::vector<Bar> bars;
  if (device.bridge || (!all && !rdma_name(device.bdf).empty())) return bars;
  for (const Bar& bar : device.bars) {
    if (bar.memory && bar.size_bytes >= kPage && (all || bar.prefetchable)) bars.push_back(bar);
  }
  return bars;
}

std::vector<PathEntry> TopoView::paths() const {
  std::vector<PathEntry> entries;
  for (const PciDevice& device : topology.devices()) {
    if (!relevant(device)) continue;
    for (const Bar& bar : memory_bars(device)) {
      for (const auto& client : rdma) {
        if (!client.bdf || *client.bdf == device.bdf) continue;
        auto prediction = topology.predict(device.bdf, *client.bdf);
        if (!prediction) continue;  // the RDMA device is not in this picture
        entries.push_back(
            {device.bdf, bar, device.driver, client.name, *client.bdf, *std::move(prediction)});
      }
    }
  }
  return entries;
}

std::string format_tree(const TopoView& view) {
  return TreeWriter(view).write();
}

std::string format_matrix(const TopoView& view) {
  const std::vector<PathEntry> entries = view.paths();
  if (entries.empty()) return {};
  std::vector<Table::Column> columns = {{"memory"}, {"size", Table::Align::kRight}, {"driver"}};
  std::vector<std::string> clients;
  for (const PathEntry& entry : entries) {
    if (std::find(clients.begin(), clients.end(), entry.rdma_device) != clients.end()) continue;
    clients.push_back(entry.rdma_device);
    columns.push_back({"from " + entry.rdma_device});
  }
  constexpr std::size_t kFixed = 3;
  Table table(std::move(columns));
  Notes notes;
  std::vector<std::string> row;
  const auto name = [](const PathEntry& entry) {
    return fmt::format("{} BAR {}", entry.provider.to_string(), entry.bar.index.value());
  };
  for (const PathEntry& entry : entries) {
    if (row.empty() || row[0] != name(entry)) {
      if (!row.empty()) table.add_row(row);
      row.assign(kFixed + clients.size(), "-");
      row[0] = name(entry);
      row[1] = format_bytes(entry.bar.size_bytes);
      if (!entry.provider_driver.empty()) row[2] = entry.provider_driver;
    }
    const auto column = static_cast<std::size_t>(
        std::find(clients.begin(), clients.end(), entry.rdma_device) - clients.begin());
    const PathPrediction& prediction = entry.prediction;
    const std::string reason = prediction.remedy.empty()
                                   ? prediction.reason
                                   : fmt::format("{}: {}", prediction.reason, prediction.remedy);
    row[kFixed + column] =
        fmt::format("{} {}", to_string(prediction.path), notes.reference(reason));
  }
  table.add_row(row);
  return table.to_string() + '\n' + notes.to_string();
}

}  // namespace peermr::tool
