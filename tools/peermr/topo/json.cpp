// SPDX-License-Identifier: BSD-2-Clause
#include "topo/json.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace peermr::tool {
namespace {

using nlohmann::json;

json optional_bdf(const std::optional<Bdf>& bdf) {
  return bdf ? json(bdf->to_string()) : json(nullptr);
}

json bars_json(const PciDevice& device) {
  json bars = json::array();
  for (const Bar& bar : device.bars) {
    bars.push_back({{"bar", bar.index.value()},
                    {"size_bytes", bar.size_bytes},
                    {"memory", bar.memory},
                    {"prefetchable", bar.prefetchable},
                    {"is_64bit", bar.is_64bit}});
  }
  return bars;
}

json device_json(const TopoView& view, const PciDevice& device) {
  json object = {{"pci", device.bdf.to_string()},
                 {"parent", optional_bdf(device.parent)},
                 {"host_bridge", device.host_bridge},
                 {"id", fmt::format("{:04x}:{:04x}", device.vendor, device.device)},
                 {"class", fmt::format("{:06x}", device.class_code)},
                 {"bridge", device.bridge},
                 {"acs", to_string(device.acs)},
                 {"acs_redirects", device.acs.redirects()},
                 {"driver", device.driver},
                 {"iommu_type", device.iommu_type},
                 {"iommu_group", device.iommu_group ? json(*device.iommu_group) : json(nullptr)},
                 {"bars", bars_json(device)},
                 {"problems", device.problems}};
  const std::string rdma = view.rdma_name(device.bdf);
  if (!rdma.empty()) object["rdma_device"] = rdma;
  return object;
}

json path_json(const PathEntry& entry) {
  json bridges = json::array();
  for (const Bdf& bridge : entry.prediction.acs_bridges) bridges.push_back(bridge.to_string());
  return {{"provider", entry.provider.to_string()}, {"bar", entry.bar.index.value()},
          {"size_bytes", entry.bar.size_bytes},     {"rdma_device", entry.rdma_device},
          {"client", entry.client.to_string()},     {"path", to_string(entry.prediction.path)},
          {"reason", entry.prediction.reason},      {"remedy", entry.prediction.remedy},
          {"distance", entry.prediction.distance},  {"acs_bridges", std::move(bridges)}};
}

}  // namespace

json to_json(const TopoView& view) {
  json devices = json::array();
  for (const PciDevice& device : view.topology.devices()) {
    if (device.bridge || view.relevant(device)) devices.push_back(device_json(view, device));
  }
  json rdma = json::array();
  for (const auto& device : view.rdma) {
    rdma.push_back({{"name", device.name},
                    {"pci", optional_bdf(device.bdf)},
                    {"driver", device.driver},
                    {"importer", to_string(device.importer)},
                    {"importer_reason", device.importer_reason}});
  }
  json paths = json::array();
  for (const PathEntry& entry : view.paths()) paths.push_back(path_json(entry));
  return {{"schema", "peermr-topo/1"},
          {"cpu_vendor", view.topology.cpu().vendor},
          {"devices", std::move(devices)},
          {"rdma_devices", std::move(rdma)},
          {"paths", std::move(paths)}};
}

}  // namespace peermr::tool
