// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/system.hpp"
#include "doctor/checks.hpp"
#include "doctor/iommufd.hpp"
#include "peermr/vfio.hpp"

namespace peermr::tool {
namespace {

using verbs::ImporterClass;

bool vfio_has(const PciDevice& device) {
  return device.driver.find("vfio") != std::string::npos;
}

constexpr const char* kBarDriver = "peermr_bar";

// Whose memory can be exported, if kernel and driver do.
bool can_lend(const PciDevice& device) {
  return vfio_has(device) || device.driver == kBarDriver;
}

bool importer_follows_revokes(ImporterClass importer) {
  return importer == ImporterClass::kFaultable || importer == ImporterClass::kRevocable;
}

Check check_importer(const verbs::RdmaDevice& device, ImporterClass importer) {
  const std::string finding = fmt::format("driver {}, dma-buf importer: {}. {}", device.driver,
                                          to_string(importer), device.importer_reason);
  if (importer_follows_revokes(importer)) return {Level::kOk, device.name, finding, ""};
  if (importer == ImporterClass::kUnknown) {
    return {Level::kWarn, device.name, finding, "try it: peermr bench --target BDF:BAR:RANGE"};
  }
  return {
      Level::kWarn, device.name, finding,
      "use a NIC whose driver imports dma-bufs that can be revoked: mlx5 with ODP, irdma, pnic"};
}

// The device's own node; the kernel may give it none. Empty then.
std::string character_device(const Machine& machine, const PciDevice& device) {
  const std::string folder =
      fmt::format("{}/bus/pci/devices/{}/vfio-dev", machine.paths.sysfs, device.bdf.to_string());
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (std::filesystem::exists(entry.path() / "dev", none)) {
      return fmt::format("{}/vfio/devices/{}", machine.paths.dev, entry.path().filename().string());
    }
  }
  return {};
}

// Every vfio-pci device of the group shares its fate: one with a host driver blocks all of them.
Check check_group(const Machine& machine, const PciDevice& device) {
  const std::string name = device.bdf.to_string();
  if (!device.iommu_group) {
    return {Level::kFail, name, "it has no IOMMU group",
            "turn the IOMMU on (intel_iommu=on; firmware set-up)"};
  }
  const std::string node = fmt::format("{}/vfio/{}", machine.paths.dev, *device.iommu_group);
  for (const PciDevice* other : machine.topology.iommu_group(*device.iommu_group)) {
    if (other->bridge || other->driver.empty() || vfio_has(*other)) continue;
    return {Level::kFail, name,
            fmt::format("IOMMU group {} also holds {}, which driver {} has", *device.iommu_group,
                        other->bdf.to_string(), other->driver),
            fmt::format("unbind {} or bind it to vfio-pci", other->bdf.to_string())};
  }
  if (::access(node.c_str(), R_OK | W_OK) != 0) {
    return {Level::kFail, name, fmt::format("this user may not open {}", node),
            "become root, or change its owner by a udev rule"};
  }
  const std::string own = character_device(machine, device);
  return {Level::kOk, name,
          fmt::format("driver {}, IOMMU group {}{}", device.driver, *device.iommu_group,
                      own.empty() ? "" : ", character device " + own),
          ""};
}

Check check_bar_file(const Machine& machine, const PciDevice& device) {
  const std::string name = device.bdf.to_string();
  const std::string node = fmt::format("{}/{}/{}", machine.paths.dev, kBarDriver, name);
  if (::access(node.c_str(), R_OK | W_OK) != 0) {
    return {Level::kFail, name, fmt::format("this user may not open {}", node),
            "become root, or change its owner by a udev rule"};
  }
  return {Level::kOk, name, fmt::format("driver {}, without an IOMMU and without DMA", kBarDriver),
          ""};
}

// What the driver promises; doctor --probe asks it.
Check check_exporter(const PciDevice& device) {
  const std::string name = device.bdf.to_string();
  constexpr const char* kOurs =
      "revoke for good, manual re-arm, mmap, several ranges through an IOMMU, every reset is "
      "seen. A mapped buffer (export --mmap) may be pinned by VFIO type1, which hears of no revoke";
  if (device.driver == kBarDriver) {
    return {
        Level::kOk, name,
        fmt::format("exporter peermr_bar: {}. Neither iommufd nor VMs can have its memory", kOurs),
        ""};
  }
  if (device.driver == "peermr_vfio") {
    return {Level::kOk, name,
            fmt::format("exporter peermr_vfio: {}. iommufd maps no buffer but those exported with "
                        "--delegate, of one range, which the kernel's own exporter makes",
                        kOurs),
            ""};
  }
  return {Level::kOk, name,
          fmt::format("exporter {}, the kernel's own: export and invalidate; no mmap, revoke or "
                      "re-arm of a buffer, several ranges do not map through an IOMMU, resets "
                      "through sysfs are not seen. Driver peermr_vfio has these. iommufd maps "
                      "buffers of one range",
                      device.driver),
          ""};
}

std::string feature_list(const vfio::ExporterFeatures& features) {
  std::string text;
  const auto add = [&text](bool has, const char* name) {
    if (!has) return;
    if (!text.empty()) text += ", ";
    text += name;
  };
  add(features.revoke, "revoke for good");
  add(features.manual_rearm, "manual re-arm");
  add(features.query, "query");
  add(features.mappable, "mmap");
  add(features.write_combine, "write combining");
  add(features.make_private, "private memory");
  add(features.delegate, "buffers for iommufd");
  add(features.many_ranges_translated, "several ranges through an IOMMU");
  add(features.sees_every_reset, "every reset is seen");
  return text;
}

Check check_pair(const Machine& machine, const PciDevice& device, const verbs::RdmaDevice& rdma,
                 bool& possible) {
  const std::string subject = fmt::format("{} -> {}", rdma.name, device.bdf.to_string());
  auto prediction = machine.topology.predict(device.bdf, *rdma.bdf);
  if (!prediction) return {Level::kFail, subject, prediction.error().message(), ""};
  const std::string path = fmt::format("{}: {}", to_string(prediction->path), prediction->reason);
  if (prediction->path == P2pPath::kNotSupported) {
    return {Level::kFail, subject, path, prediction->remedy};
  }
  if (prediction->path == P2pPath::kUnknown) {
    return {Level::kWarn, subject, path, "run as root: reading ACS takes it"};
  }
  if (!importer_follows_revokes(rdma.importer)) {
    return {Level::kFail, subject,
            fmt::format("the path would do ({}), but {} cannot follow a revoke", path, rdma.driver),
            "use another NIC"};
  }
  possible = true;
  return {Level::kOk, subject, path, ""};
}

}  // namespace

std::vector<Check> check_rdma(const Machine& machine) {
  std::vector<Check> checks;
  for (const auto& device : machine.rdma) {
    auto context = verbs::Context::open(std::string_view(device.name), machine.paths);
    if (!context) {
      checks.push_back(check_importer(device, device.importer));
      checks.push_back({Level::kFail, device.name, context.error().message(),
                        "install its libibverbs provider, and see that this user may open "
                        "/dev/infiniband/uverbs*"});
      continue;
    }
    checks.push_back(check_importer(context->device(), context->importer()));
  }
  if (checks.empty()) {
    checks.push_back({Level::kFail, "RDMA", "there is no RDMA device",
                      "load the NIC's driver and see ls /sys/class/infiniband"});
  }
  return checks;
}

std::vector<Check> check_vfio(const Machine& machine) {
  std::vector<Check> checks;
  const auto& devices = machine.topology.devices();
  const bool iommu = std::any_of(devices.begin(), devices.end(), [](const PciDevice& device) {
    return device.iommu_group.has_value();
  });
  const bool does_without = std::any_of(devices.begin(), devices.end(), [](const auto& device) {
    return device.driver == kBarDriver;
  });
  checks.push_back(iommu ? Check{Level::kOk, "IOMMU", "it is on", ""}
                         : Check{does_without ? Level::kWarn : Level::kFail, "IOMMU",
                                 "no device has an IOMMU group",
                                 "turn it on: firmware set-up, and intel_iommu=on on Intel; or do "
                                 "without VFIO: driver peermr_bar"});
  bool any = false;
  for (const PciDevice& device : devices) {
    if (!can_lend(device)) continue;
    any = true;
    checks.push_back(vfio_has(device) ? check_group(machine, device)
                                      : check_bar_file(machine, device));
    checks.push_back(check_exporter(device));
  }
  if (!any) {
    checks.push_back(
        {Level::kFail, "VFIO", "no device is bound to a VFIO driver",
         "bind one: echo vfio-pci > /sys/bus/pci/devices/BDF/driver_override; echo BDF > "
         "/sys/bus/pci/devices/BDF/driver/unbind; echo BDF > /sys/bus/pci/drivers_probe"});
  }
  return checks;
}

Pairs check_pairs(const Machine& machine) {
  Pairs pairs;
  for (const PciDevice& device : machine.topology.devices()) {
    if (!can_lend(device)) continue;
    for (const auto& rdma : machine.rdma) {
      if (!rdma.bdf) continue;
      pairs.checks.push_back(check_pair(machine, device, rdma, pairs.possible));
    }
  }
  return pairs;
}

Check probe_device(const Bdf& bdf) {
  const std::string name = bdf.to_string();
  auto device = vfio::Device::open(bdf);
  if (!device) return {Level::kFail, name, device.error().message(), ""};
  const auto& features = device->exporter_features();
  if (features.kind != vfio::ExporterKind::kNone) {
    const std::string iommufd = features.delegate
                                    ? "; " + try_iommufd(*device)
                                    : std::string();
    return {Level::kOk, name,
            fmt::format("kernel and driver export its memory as dma-bufs: exporter {}: {}{}",
                        to_string(features.kind), feature_list(features), iommufd),
            ""};
  }
  return {Level::kFail, name, "kernel or driver cannot export its memory as dma-bufs",
          "Linux 6.19 with CONFIG_VFIO_PCI_DMABUF, and a VFIO driver that has the feature"};
}

}  // namespace peermr::tool
